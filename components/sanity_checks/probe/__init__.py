"""The learning rates worth searching."""
