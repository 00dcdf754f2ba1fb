"""Where images come from. A new source is one small file here, and one line in ``read.py``."""
