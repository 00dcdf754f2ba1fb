"""Which code this is: what it computed is reused by the same code alone."""

import hashlib
from pathlib import Path

STEPS = Path(__file__).parents[1]


def digest_of_code(folder: Path = STEPS) -> str:
    """SHA-256, in hex, of the sources below a folder: the same in an image and on a laptop."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".j2")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
