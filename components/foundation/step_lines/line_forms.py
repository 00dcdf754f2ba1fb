"""The lines that a step prints and that whoever runs it reads: their marks, and what they say."""

from dataclasses import dataclass

LINE_MARK = "[sanefit {step}] "
ERROR_MARK = "[sanefit-error {step}] "
TIMING_MARK = "[sanefit-timing] "


@dataclass(frozen=True)
class StepLine:
    """A line of a step for the user."""

    step: str
    text: str


@dataclass(frozen=True)
class StepError:
    """An error that a step raised for the user."""

    step: str
    message: str
    exit_status: int


@dataclass(frozen=True)
class StepTiming:
    """When a step's process began, and when its own computing did and ended; epoch seconds."""

    step: str
    process_started: float
    started: float
    ended: float
