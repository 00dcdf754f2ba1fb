"""What determines a training, as one name: results are kept under it, and reused by what has the same."""
