"""What a build of both images gave."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Images:
    """References of the images and their base; how long the build took, in seconds; what it must not tell."""

    base: str
    data: str
    trainer: str
    build_seconds: float
    secret: str

    @property
    def both(self) -> tuple[str, str]:
        return self.data, self.trainer
