"""From an analysis to what people read: Markdown, figures, TensorBoard, a table on the console; never imports torch."""
