"""Fine-tuning: building the model, the step loop, evaluation, exact match and F1."""
