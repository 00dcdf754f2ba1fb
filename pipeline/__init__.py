"""The pipeline, its configuration, and the command ``sanefit``."""

__version__ = "0.1.0"
