"""What the trials say."""
