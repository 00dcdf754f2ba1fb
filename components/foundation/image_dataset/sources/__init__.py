"""Where images come from: a source is one file here with ``list_images``, and one line in ``schemas/sources.py``."""
