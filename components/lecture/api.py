"""What a command or a notebook may call: the lecture's experiments, and their page."""

from sanefit.components.lecture.comparison import Comparison
from sanefit.components.lecture.lecture import chosen_experiments, run_experiments
from sanefit.components.lecture.page import render

__all__ = ["Comparison", "chosen_experiments", "render", "run_experiments"]
