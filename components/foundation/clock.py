"""Time as an argument."""

from collections.abc import Callable

Clock = Callable[[], float]  # seconds, since the epoch where nothing else is said
Sleep = Callable[[float], None]  # waits seconds
