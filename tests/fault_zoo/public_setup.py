"""A set-up of the zoo as a user would hand it in: a folder of images, a network of their own, settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PublicSetup:
    """``images``: which set of ``folders.py``. ``network``: the section of a configuration. ``settings``: further ones,
    as in ``optimizer.kind=adam``. ``families``: what a check must name, any of them; empty where nothing is wrong.
    """

    name: str
    images: str
    network: Mapping[str, Any]
    settings: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    why: str = field(default="", kw_only=True)
