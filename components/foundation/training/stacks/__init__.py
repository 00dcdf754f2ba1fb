"""Trains many networks of one shape at once, each as it would be trained alone."""
