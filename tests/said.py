"""A ``say`` that remembers."""


class Said(list[str]):
    """Collects what a step says; call it like ``say``."""

    def __call__(self, text: str) -> None:
        self.append(text)
