"""What every kind of network says of itself, and the settings that several kinds share."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from sanefit.components.foundation.schemas.bases import Settings
from sanefit.components.foundation.schemas.sources import REMOTE

INITS = ("he", "xavier", "orthogonal", "zeros")  # and gaussian:STD


def _known_init(init: str) -> str:
    kind, colon, std = init.partition(":")
    if init in INITS or (kind == "gaussian" and colon and _positive_finite(std)):
        return init
    raise ValueError(f"expected {', '.join(INITS)} or gaussian:STD with STD above 0, as in gaussian:1e-4")


def _known_weights(weights: str) -> str:
    if weights.startswith(PACKAGE) and not all(weights.removeprefix(PACKAGE).partition("/")):
        raise ValueError("expected package:NAME/PATH, as in package:my_weights/resnet18.pth")
    return weights


def _positive_finite(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "maxout"]
Init = Annotated[str, AfterValidator(_known_init)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
DEFAULT_WEIGHTS = "default"
PACKAGE = "package:"


class Network(Settings):
    """What each kind of network says of itself; a kind says otherwise where it differs.

    A value of the search (``schemas/searchable.py``) can be searched when the kind has a field of that name, or names
    it in ``also_searched``. ``deepest``: the largest ``depth``, and what it counts; None has no bound but the value's
    own. ``is_stacked``: there is a stack of our own for it, in ``training/stacks``. ``is_dense``: nearly all of its
    weights are those of matrices.
    """

    also_searched: ClassVar[frozenset[str]] = frozenset()
    deepest: ClassVar[tuple[int, str] | None] = None
    is_stacked: ClassVar[bool] = False
    is_dense: ClassVar[bool] = False

    @classmethod
    def can_search(cls, name: str) -> bool:
        """Whether a trial may have a value of this name other than the configuration's."""
        return name in cls.model_fields or name in cls.also_searched

    @property
    def is_normed(self) -> bool:
        """Whether batch norm keeps its values near 1."""
        return False

    @property
    def dropout_share(self) -> float:
        """Share of a layer's outputs that training sets to 0, in [0, 1); of dropout that is ours."""
        return 0.0

    @property
    def weights_uri(self) -> str:
        """A file of weights that replace the initial ones; empty for none."""
        return ""

    @property
    def weights_on_this_machine(self) -> bool:
        """Whether these weights are a file that only this machine may have."""
        return bool(self.weights_uri) and not self.weights_uri.startswith((*REMOTE, PACKAGE))

    @property
    def scheme(self) -> Init | None:
        """How we set the initial weights; None leaves them as the network sets them itself."""
        return None

    @property
    def has_own_normalization(self) -> bool:
        """Whether pixels are normalized by what the network names itself, not by the training images."""
        return False

    @property
    def scaled_to(self) -> int | None:
        """Pixels on both sides that images are scaled to inside the network; None leaves them as they are."""
        return None

    def fields_for(self, **searched: Any) -> dict[str, Any]:
        """The fields that searched values change, with what they become: by default those of the same name."""
        return searched


class BuiltNetwork(Network):
    """What every network of sanefit's own has.

    Without ``init`` the weights start as the activation asks for: ``xavier`` for sigmoid and tanh (Glorot & Bengio
    2010), else ``he``, for those that are linear above 0 (ledger rows W4, W5).
    """

    activation: Activation = "relu"
    init: Init | None = None
    dropout: Dropout = 0.0

    @property
    def dropout_share(self) -> float:
        """As ``Network``."""
        return self.dropout

    @property
    def scheme(self) -> Init:
        """As ``Network``."""
        return self.init or ("xavier" if self.activation in ("sigmoid", "tanh") else "he")


class GivenNetwork(Network):
    """What every network has that is built by other code than ours.

    ``weights``: to start from: a local or ``s3://`` file with a state dict, as ``torch.save`` writes it, or
    ``package:NAME/PATH``, a file of an installed Python package; layers whose shape differs, as the output layer, start
    anew. ``normalization``: ``own``: by the means and standard deviations that the network names itself; ``data``: by
    those of the training images. ``input_size``: pixels on both sides that images are scaled to, inside the network.
    Without these two, images are normalized by the data and keep their size.
    """

    weights: Annotated[str, AfterValidator(_known_weights)] = ""
    init: Init | None = None
    normalization: Literal["data", "own"] | None = None
    input_size: Annotated[int, Field(ge=8, le=2048)] | None = None

    @property
    def weights_uri(self) -> str:
        """As ``Network``."""
        return self.weights

    @property
    def scheme(self) -> Init | None:
        """As ``Network``."""
        return self.init

    @property
    def has_own_normalization(self) -> bool:
        """As ``Network``."""
        return self.normalization == "own"

    @property
    def scaled_to(self) -> int | None:
        """As ``Network``."""
        return self.input_size


class LibraryNetwork(GivenNetwork):
    """What every network of a library has, which it builds by a name and may have weights for.

    ``weights``: also ``default``: those that the library recommends, downloaded into the storage once; then, where
    nothing else is set, images are normalized and scaled as these weights ask for.
    """

    name: Annotated[str, Field(min_length=1)]

    @property
    def weights_on_this_machine(self) -> bool:
        """As ``Network``."""
        return self.weights != DEFAULT_WEIGHTS and super().weights_on_this_machine

    @property
    def named(self) -> str:
        """The setting that names it, with its value."""
        return f"network.name={self.name!r}"

    @property
    def is_normed(self) -> bool:
        """As ``Network``; batch or layer norm, in all but the oldest classifiers."""
        return True


class NormableNetwork(BuiltNetwork):
    """What every network has that can do with and without batch norm."""

    batch_norm: bool = False

    @property
    def is_normed(self) -> bool:
        """As ``Network``."""
        return self.batch_norm
