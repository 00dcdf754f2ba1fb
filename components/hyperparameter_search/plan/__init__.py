"""Which trials are trained."""
