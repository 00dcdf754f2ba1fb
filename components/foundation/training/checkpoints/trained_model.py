"""The weights of a final model, as the training leaves them and the registration finds them."""

import io
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.classifiers.ensemble import Ensemble
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.training.resolved_settings import resolve_network
from sanefit.components.foundation.training.stacks.trial import Problem


def joined(members: Sequence[Classifier]) -> nn.Module:
    """One model, from raw pixels to scores: the member itself, or an ensemble of several."""
    return members[0] if len(members) == 1 else Ensemble(members)


def write_weights(uri: str, members: Sequence[Classifier]) -> None:
    """Keep a list of one state dict for each member.

    Raises:
        StorageError: when it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save([{name: value.cpu() for name, value in member.state_dict().items()} for member in members], buffer)
    object_store.write_bytes(uri, buffer.getvalue())


def read_trained(trained: TrainedModel, network: NetworkSettings, problem: Problem) -> nn.Module:
    """The final model, from raw pixels to scores, on the CPU.

    Args:
        trained: where its weights are, and the settings of its members.
        network: as the configuration has it; each member's has the values that were searched.
        problem: what it was trained for.

    Raises:
        SettingsError: when ``network`` has no such value, or cannot be built.
        StorageError: when the weights cannot be read, or are those of another model.
    """
    members = []
    for setting, values in zip(trained.members, _read_weights(trained), strict=True):
        resolved = resolve_network(network, setting)
        member = build_classifier(resolved, problem.image_shape, problem.classes, problem.stats, seed=0)
        try:
            member.load_state_dict(values)
        except RuntimeError as error:  # names or shapes
            raise _unfit(trained, f"they do not fit {resolved.kind!r}: {error}") from error
        members.append(member)
    return joined(members)


def _read_weights(trained: TrainedModel) -> list[dict[str, Tensor]]:
    content = io.BytesIO(object_store.read_bytes(trained.weights_uri))
    try:
        weights = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a broken file makes it stumble over
        raise _unfit(trained, f"damaged: {error}") from error
    if not isinstance(weights, list) or len(weights) != len(trained.members):
        found = f"a list of {len(weights)}" if isinstance(weights, list) else f"a {type(weights).__name__}"
        raise _unfit(trained, f"{found}; expected a list of {len(trained.members)} state dicts")
    return weights


def _unfit(trained: TrainedModel, why: str) -> StorageError:
    return StorageError(f"weights {trained.weights_uri!r} cannot be used: {why}; run the final training again")
