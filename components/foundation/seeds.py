"""Seeds for each random thing, from the one seed of a run."""

import hashlib


def derive_seed(seed: int, *labels: str | int) -> int:
    """A seed in [0, 2^63) that depends on ``seed`` and on every label."""
    text = "/".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
