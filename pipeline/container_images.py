"""Which container image a step runs in, from one place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from sanefit import __version__
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.bases import Settings
from sanefit.pipeline.settings.cluster_settings import OwnImages

PUSHED_IMAGES = Path(__file__).with_name("pushed_images.json")  # `make push` writes it

AS_PUSHED = OwnImages()
ByDigest = Annotated[str, Field(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")]


@dataclass(frozen=True)
class ContainerImages:
    """References of the images that the steps run in; by default those that ``make images`` builds."""

    data: str = f"sanefit-data:{__version__}"
    trainer: str = f"sanefit-trainer:{__version__}"


class PushedImages(Settings):
    """What ``make push`` wrote: references ``repository@sha256:…``, and the version they were built from."""

    version: str
    data: ByDigest
    trainer: ByDigest


def container_images(own: OwnImages = AS_PUSHED, pushed: Path = PUSHED_IMAGES) -> ContainerImages:
    """Those that the configuration names; the others by digest when the images were pushed, else by version.

    Args:
        own: of the configuration.
        pushed: the file that ``make push`` writes.

    Raises:
        SettingsError: when the file cannot be read, or is of another version than this code.
    """
    if own.data and own.trainer:
        return ContainerImages(own.data, own.trainer)
    built = _pushed_images(pushed)
    return ContainerImages(own.data or built.data, own.trainer or built.trainer)


def _pushed_images(pushed: Path) -> ContainerImages:
    try:
        text = pushed.read_text(encoding="utf-8")
        images = PushedImages.model_validate_json(text)
    except FileNotFoundError:
        return ContainerImages()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(pushed, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise _unusable(pushed, f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from None
    if images.version != __version__:
        raise _unusable(pushed, f"version {images.version!r}, where this is {__version__!r}")
    return ContainerImages(images.data, images.trainer)


def _unusable(pushed: Path, reason: str) -> SettingsError:
    return SettingsError(
        f"pushed images {str(pushed)!r}: {reason}; expected what make push writes; run make push REGISTRY=… again, "
        "or remove the file to use the images of this machine"
    )
