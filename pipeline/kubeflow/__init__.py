"""The pipeline on a cluster."""
