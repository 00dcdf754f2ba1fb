"""The configurations that ship with sanefit; apart from their schema, for the command's help names one of them."""

from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"
DEFAULT_CONFIG = CONFIGS / "digits.yaml"
