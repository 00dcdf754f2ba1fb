"""All that a user may set."""
