"""What determines a training: the same parts and the same machine give the same digits."""

from importlib.metadata import version
from typing import Any

from sanefit.components.foundation.identity.code import digest_of_module
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.networks import ModuleSettings, NetworkSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.storage.content import digest_of_content


class TrainingIdentity(Artifact):
    """The parts, digests save ``torch``, ``seed`` and ``arithmetic``; one that does not apply is empty.

    ``images``: the snapshot's fingerprint. ``code``: that which trains. ``torch``: its version. ``module``: source of
    the user's own module. ``weights``: content of the file of starting weights. ``statistics``: how pixels are
    normalized. ``arithmetic``: kind of device and how it computes; of a single training. ``configuration``, ``seed``:
    its settings and seed.
    """

    images: str
    code: str
    torch: str
    module: str = ""
    weights: str = ""
    statistics: str = ""
    arithmetic: str = ""
    configuration: str = ""
    seed: int | None = None

    @property
    def parts(self) -> dict[str, str]:
        """Those that apply, by name, as text."""
        return {name: str(value) for name, value in self if value not in ("", None)}

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all of them."""
        return digest_of(self.parts)

    def of(self, seed: int, *settings: Any) -> "TrainingIdentity":
        """That of one training among those that share the other parts; ``settings``: what JSON can hold."""
        return self.model_copy(update={"seed": seed, "configuration": digest_of(*settings)})


def identify_trainings(
    fingerprint: str, stats: ChannelStats, network: NetworkSettings, *, code: str, arithmetic: str
) -> TrainingIdentity:
    """What trainings of a network on the same images share, whatever their settings and seeds.

    Args:
        fingerprint: of the snapshot.
        stats: give the normalization.
        network: names the user's module and the starting weights, if there are any.
        code: digest of the code that trains.
        arithmetic: kind of device, and how it computes.

    Raises:
        SettingsError: when the user's module cannot be found.
        StorageError: when the weights or the pixel transform cannot be read.
    """
    path = network.path if isinstance(network, ModuleSettings) else ""
    return TrainingIdentity(
        images=fingerprint,
        code=code,
        torch=torch_version(),
        module=digest_of_module(path),
        weights=digest_of_weights(network.weights_uri),
        statistics=digest_of_normalization(stats),
        arithmetic=arithmetic,
    )


def settings_of(network: NetworkSettings) -> dict[str, Any]:
    """A network's settings for ``TrainingIdentity.of``: all but where its weights lie, whose content counts."""
    return network.model_dump(mode="json", exclude={"weights"})


def digest_of_normalization(stats: ChannelStats) -> str:
    """SHA-256, in hex, of all that changes a pixel; of a pixel transform, what its file holds.

    Raises:
        StorageError: when that file cannot be read.
    """
    values = stats.model_dump(mode="json", include={"normalization", "shift", "scale"})
    return digest_of(values, digest_of_content(stats.transform_uri) if stats.transform_uri else "")


def digest_of_weights(uri: str) -> str:
    """SHA-256, in hex, of a file of weights, local or ``s3://``; empty without one.

    Raises:
        StorageError: when it cannot be read.
    """
    return digest_of_content(uri) if uri else ""


def torch_version() -> str:
    """As it is installed; without the seconds that importing it takes."""
    return version("torch")
