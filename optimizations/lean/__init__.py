"""DistilBERT and BERT for question answering without transformers: `lean_model` uses it. Holds no strategy."""
