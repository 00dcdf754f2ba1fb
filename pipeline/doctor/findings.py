"""What ``sanefit doctor`` says of one thing, in one line."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """``unknown``: it could not be looked at from here. ``fix`` is empty when all is well."""

    what: str
    state: Literal["ok", "warning", "failed", "unknown"]
    seen: str
    fix: str = ""

    def line(self) -> str:
        """For a reader."""
        return f"{self.state:<8} {self.what:<18} {self.seen}{f'; {self.fix}' if self.fix else ''}"

    def record(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self)
