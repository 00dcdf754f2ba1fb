"""A pack of trials in training."""
