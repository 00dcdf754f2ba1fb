"""A training between two epochs as a file, and when it is written."""
