"""Ensembles against numpy, and the file of their weights."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier, ProbabilityModel, build_classifier
from sanefit.components.foundation.classifiers.ensemble import Ensemble
from sanefit.components.foundation.errors import SettingsError, StorageError
from sanefit.components.foundation.schemas.final_model import Judgement, TrainedModel
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    NetworkSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.training.checkpoints.trained_model import joined, read_trained, write_weights
from sanefit.components.foundation.training.resolved_settings import resolve_network
from sanefit.components.foundation.training.stacks.trial import Problem

SHAPE = (6, 5, 3)
CLASSES = 4
STATS = ChannelStats(
    normalization="channel_mean_std",
    images=1,
    mean=[0.0] * 3,
    std=[0.0] * 3,
    shift=[120.0, 128.0, 130.0],
    scale=[60.0, 64.0, 50.0],
    histogram=[],
)
PROBLEM = Problem(SHAPE, CLASSES, STATS)
NETWORK = TwoLayerSettings(kind="two_layer", hidden=5)
MLP = MlpSettings(kind="mlp", depth=2, width=6)
CONVNET = ConvNetSettings(kind="convnet", channels=(4, 6))

JUDGEMENT = Judgement(interval=(0, 1), majority_accuracy=0, balanced_accuracy=0.5, only_class_named=None)


def setting(**searched: object) -> TrialSetting:
    return TrialSetting.model_validate({"learning_rate": 0.1, "weight_decay": 0.0, **searched})


def classifier(searched: TrialSetting, seed: int, network: NetworkSettings = NETWORK) -> Classifier:
    return build_classifier(resolve_network(network, searched), SHAPE, CLASSES, STATS, seed).eval()


def images(count: int) -> Tensor:
    return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


class Fixed(Classifier):
    """Answers with the same scores (images, classes), whatever it sees."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__(nn.Identity(), nn.Identity())
        self.scores = scores

    def forward(self, pixels: Tensor) -> Tensor:  # noqa: ARG002
        return self.scores


def fixed(scores: list[NDArray[np.float64]], dtype: torch.dtype = torch.float64) -> nn.Module:
    return joined([Fixed(torch.from_numpy(each).to(dtype)) for each in scores])


NOTHING = torch.empty(0)


@pytest.mark.parametrize("count", [1, 7])
def test_three_classifiers_of_different_widths_give_the_mean_of_their_probabilities(count: int) -> None:
    members = [classifier(setting(width=width), seed=width) for width in (3, 8, 17)]
    pixels = images(count)
    expected = np.mean([softmax(member(pixels).detach().double().numpy()) for member in members], axis=0)
    answered = ProbabilityModel(joined(members)).eval()(pixels).detach()
    assert answered.dtype == torch.float32
    np.testing.assert_allclose(answered.numpy(), expected, rtol=1e-5, atol=1e-7)
    assert not np.allclose(expected, softmax(members[0](pixels).detach().double().numpy()), atol=0.01)


def test_members_of_different_kinds_answer_together() -> None:
    members = [classifier(setting(), 0, network) for network in (NETWORK, MLP, CONVNET)]
    pixels = images(3)
    expected = np.mean([softmax(member(pixels).detach().double().numpy()) for member in members], axis=0)
    np.testing.assert_allclose(joined(members)(pixels).softmax(1).detach().numpy(), expected, rtol=1e-5, atol=1e-7)


def test_one_member_is_itself_to_the_last_bit() -> None:
    member = classifier(setting(), seed=0)
    assert joined([member]) is member
    assert torch.equal(ProbabilityModel(joined([member]))(images(5)), member(images(5)).softmax(1))


member_scores = st.integers(2, 4).flatmap(
    lambda members: st.lists(
        st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=2, max_size=2),
        min_size=members,
        max_size=members,
    )
)


@given(member_scores)
def test_loss_and_answer_are_those_of_the_mean_probability(nested: list[list[list[float]]]) -> None:
    scores = [np.array(each) for each in nested]
    mean = np.mean([softmax(each) for each in scores], axis=0)
    found = fixed(scores)(NOTHING)
    np.testing.assert_allclose(found.exp().sum(1).numpy(), 1, rtol=1e-12)
    np.testing.assert_allclose(found.softmax(1).numpy(), mean, rtol=1e-9, atol=1e-300)
    labels = torch.tensor([0, 2])
    loss = float(nn.functional.cross_entropy(found, labels))
    assert loss == pytest.approx(-np.mean(np.log([mean[0, 0], mean[1, 2]])), rel=1e-9, abs=1e-12)
    chosen = mean[np.arange(2), found.argmax(1).numpy()]
    np.testing.assert_allclose(chosen, mean.max(axis=1), rtol=1e-12)


@given(member_scores, st.randoms(use_true_random=False), st.lists(st.floats(-100, 100), min_size=4, max_size=4))
def test_neither_the_order_of_members_nor_a_shift_of_ones_scores_changes_anything(
    nested: list[list[list[float]]], random: "object", shifts: list[float]
) -> None:
    scores = [np.array(each) for each in nested]
    changed = [each + shift for each, shift in zip(scores, shifts, strict=False)]
    random.shuffle(changed)  # type: ignore[attr-defined]
    np.testing.assert_allclose(fixed(changed)(NOTHING).numpy(), fixed(scores)(NOTHING).numpy(), rtol=1e-9, atol=1e-9)


@given(st.lists(st.lists(st.floats(-10, 10), min_size=3, max_size=3), min_size=1, max_size=3), st.integers(1, 5))
def test_a_member_several_times_is_as_good_as_once(scores: list[list[float]], times: int) -> None:
    alone = softmax(np.array(scores))
    np.testing.assert_allclose(fixed([np.array(scores)] * times)(NOTHING).softmax(1).numpy(), alone, rtol=1e-9)


def test_scores_of_ten_thousand_neither_overflow_nor_lose_the_gradient() -> None:
    scores = [torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True), torch.tensor([[-1e4, 1e4, 0.0]])]
    found = Ensemble([Fixed(each) for each in scores])(NOTHING)
    torch.testing.assert_close(found, torch.tensor([[-math.log(2), -math.log(2), -1e4 - math.log(2) + math.log(2)]]))
    torch.testing.assert_close(found.softmax(1), torch.tensor([[0.5, 0.5, 0.0]]))
    nn.functional.cross_entropy(found, torch.tensor([2])).backward()
    assert scores[0].grad is not None
    assert torch.isfinite(scores[0].grad).all()


def test_dropout_and_batch_norm_of_every_member_are_at_rest_when_it_is_served() -> None:
    network = CONVNET.model_copy(update={"batch_norm": True, "dropout": 0.5})
    model = joined([classifier(setting(), seed, network).train() for seed in range(2)]).eval()
    assert torch.equal(model(images(4)), model(images(4)))
    torch.testing.assert_close(model(images(4))[:1], model(images(1)), rtol=1e-5, atol=1e-6)


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., TrainedModel]:
    """Write members' weights; what the final training would say of them."""

    def write(settings: list[TrialSetting], members: list[Classifier]) -> TrainedModel:
        uri = str(tmp_path / "weights.pt")
        write_weights(uri, members)
        return trained_model(uri, settings)

    return write


def trained_model(uri: str, settings: list[TrialSetting]) -> TrainedModel:
    return TrainedModel(
        weights_uri=uri,
        setting=settings[0],
        ensemble=settings if len(settings) > 1 else [],
        best_epoch=1,
        epochs=[],
        validation_accuracy=0.5,
        test_accuracy=0.5,
        test_loss=1.0,
        test_images=1,
        confusion=[],
        validation=JUDGEMENT,
        test=JUDGEMENT,
    )


@pytest.mark.parametrize("network", [NETWORK, MLP, CONVNET], ids=lambda network: network.kind)
@pytest.mark.parametrize("widths", [[None], [9], [4, 9, None]], ids=str)
def test_what_is_written_is_read_to_the_last_bit(
    keep: Callable[..., TrainedModel], network: NetworkSettings, widths: list[int | None]
) -> None:
    settings = [setting(width=width) for width in widths]
    members = [classifier(each, seed, network) for seed, each in enumerate(settings, start=1)]
    trained = keep(settings, members)
    assert TrainedModel.model_validate_json(trained.model_dump_json()).members == settings
    found = read_trained(trained, network, PROBLEM).eval()
    assert torch.equal(found(images(5)), joined(members)(images(5)))
    assert isinstance(found, Classifier if len(widths) == 1 else Ensemble)


@pytest.mark.parametrize("searched", [{"depth": 4}, {"depth": 1}, {"dropout": 0.4}, {"init": "he"}], ids=str)
def test_every_value_of_the_network_that_can_be_searched_is_read(
    keep: Callable[..., TrainedModel], searched: dict[str, object]
) -> None:
    for network in (MLP, CONVNET):
        member = classifier(setting(**searched), 1, network)
        found = read_trained(keep([setting(**searched)], [member]), network, PROBLEM).eval()
        assert torch.equal(found(images(5)), member(images(5)))
        dropped = [module.p for module in found.modules() if isinstance(module, nn.Dropout)]
        assert set(dropped) <= {searched.get("dropout", network.dropout)}


def test_the_file_is_a_list_of_state_dicts_that_runs_no_code(keep: Callable[..., TrainedModel]) -> None:
    settings = [setting(width=2), setting(width=3)]
    members = [classifier(each, 0) for each in settings]
    content = object_store.read_bytes(keep(settings, members).weights_uri)
    saved = torch.load(io.BytesIO(content), weights_only=True)
    assert [type(each) for each in saved] == [dict, dict]
    for each, member in zip(saved, members, strict=True):
        assert each.keys() == member.state_dict().keys()


def file_of(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


STATE = classifier(setting(), 0).state_dict()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no weights", "damaged"),
        (file_of([STATE])[:400], "damaged"),
        (file_of(dict(STATE)), "a dict; expected a list of 1"),
        (file_of([STATE, STATE]), "a list of 2; expected a list of 1"),
        (file_of([]), "a list of 0; expected a list of 1"),
        (file_of([classifier(setting(width=9), 0).state_dict()]), "size mismatch"),
    ],
    ids=["text", "cut off", "of before", "too many", "none", "other width"],
)
def test_other_weights_are_refused_with_a_reason(tmp_path: Path, content: bytes, why: str) -> None:
    uri = str(tmp_path / "weights.pt")
    object_store.write_bytes(uri, content)
    with pytest.raises(StorageError, match=why) as refused:
        read_trained(trained_model(uri, [setting()]), NETWORK, PROBLEM)
    assert uri in str(refused.value)
    assert "run the final training again" in str(refused.value)


def test_a_value_that_the_network_does_not_have_is_refused(keep: Callable[..., TrainedModel]) -> None:
    trained = keep([setting()], [classifier(setting(), 0)])
    deep = trained.model_copy(update={"setting": setting(depth=3)})
    with pytest.raises(SettingsError, match="depth"):
        read_trained(deep, NETWORK, PROBLEM)
