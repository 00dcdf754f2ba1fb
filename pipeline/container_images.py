"""Which container image a step runs in, from one place."""

from pipeline import __version__

DATA_IMAGE = f"sanefit-data:{__version__}"
TRAINER_IMAGE = f"sanefit-trainer:{__version__}"
