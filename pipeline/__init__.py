"""The pipeline, its configuration, and the command ``sanefit``."""
