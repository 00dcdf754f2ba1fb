"""Which settings are trained, with what, and from which seeds."""

import pytest
from said import Said

from sanefit.components.final_training.members import Member, plan_members
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.networks import MlpSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.search import Ranking, SearchRange, TrialSetting
from sanefit.components.foundation.schemas.training import OptimizerSettings

NETWORK = MlpSettings(kind="mlp", depth=2, width=10, dropout=0.1)
OPTIMIZER = OptimizerSettings(kind="sgd", batch_size=64, momentum=0.8, schedule="cosine", augmentation="flip")
BEST = TrialSetting(learning_rate=0.1, weight_decay=1e-3)
OTHERS = [TrialSetting(learning_rate=rate, weight_decay=1e-4) for rate in (0.2, 0.3, 0.4)]


def ranking_of(best: TrialSetting, *top: TrialSetting) -> Ranking:
    return Ranking(
        stage="fine",
        search_range=SearchRange(learning_rate=(1e-3, 1.0), weight_decay=(1e-6, 1e-1), reasons=[]),
        best=best,
        best_trial=0,
        best_validation_accuracy=0.5,
        top=list(top),
        trials=9,
        diverged=0,
        packs=[],
    )


def planned(ranking: Ranking, ensemble: int, said: Said) -> list[Member]:
    return plan_members(NETWORK, OPTIMIZER, FinalTrainingSettings(epochs=7, ensemble=ensemble), ranking, 5, said)


def test_every_searched_value_reaches_the_training(said: Said) -> None:
    setting = TrialSetting(
        learning_rate=0.03,
        weight_decay=2e-3,
        momentum=0.95,
        dropout=0.4,
        warmup=0.2,
        backbone_rate=0.1,
        erasing=0.2,
        mixup=0.3,
        cutmix=0.5,
        gradient_clip=2.0,
        batch_size=32,
        optimizer="adamw",
        schedule="step",
        augmentation="flip_crop",
        init="orthogonal",
        width=24,
        depth=3,
    )
    assert set(setting.searched) == set(TrialSetting.model_fields)
    [member] = planned(ranking_of(setting), 1, said)
    network, recipe = member.trial.network, member.trial.recipe
    assert isinstance(network, MlpSettings)
    assert (network.dropout, network.init, network.width, network.depth) == (0.4, "orthogonal", 24, 3)
    assert (recipe.learning_rate, recipe.weight_decay, recipe.momentum, recipe.warmup) == (0.03, 2e-3, 0.95, 0.2)
    assert (recipe.optimizer, recipe.schedule, recipe.augmentation) == ("adamw", "step", "flip_crop")
    assert (recipe.erasing, recipe.mixup, recipe.cutmix, recipe.gradient_clip) == (0.2, 0.3, 0.5, 2.0)
    assert (recipe.batch_size, recipe.epochs, recipe.backbone_rate) == (32, 7, 0.1)


def test_what_was_not_searched_is_the_configurations(said: Said) -> None:
    [member] = planned(ranking_of(BEST), 1, said)
    assert member.trial.network == NETWORK
    recipe = member.trial.recipe
    assert (recipe.optimizer, recipe.batch_size, recipe.momentum) == ("sgd", 64, 0.8)
    assert (recipe.schedule, recipe.augmentation) == ("cosine", "flip")


def test_members_are_the_best_settings_each_with_seeds_of_its_own(said: Said) -> None:
    members = planned(ranking_of(BEST, BEST, *OTHERS), 3, said)
    assert [member.setting for member in members] == [BEST, *OTHERS[:2]]
    assert len({member.trial.seed for member in members}) == 3
    assert len({member.trial.recipe.batch_seed for member in members}) == 3
    assert said == []


def test_the_first_member_is_what_a_training_without_others_is(said: Said) -> None:
    first, *_ = planned(ranking_of(BEST, BEST, *OTHERS), 3, said)
    assert [first] == planned(ranking_of(BEST, BEST, *OTHERS), 1, said)
    assert first.trial.seed == derive_seed(5, "final")
    assert first.trial.recipe.batch_seed == derive_seed(5, "final batches")


def test_fewer_settings_than_members_are_said(said: Said) -> None:
    assert len(planned(ranking_of(BEST, BEST, OTHERS[0]), 5, said)) == 2
    assert said == ["warning: final.ensemble=5, but the search has 2 settings: one each"]


def test_a_value_that_the_network_has_not_is_an_error(said: Said) -> None:
    setting = BEST.model_copy(update={"depth": 3})
    with pytest.raises(SettingsError, match=r"search\.coarse\.depth"):
        plan_members(
            TwoLayerSettings(kind="two_layer"), OPTIMIZER, FinalTrainingSettings(), ranking_of(setting), 0, said
        )


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "loss"])
def test_the_epoch_is_kept_by_what_the_search_ranked_by(metric: str, said: Said) -> None:
    ranking = ranking_of(BEST)
    ranked = ranking.model_copy(update={"search_range": ranking.search_range.model_copy(update={"metric": metric})})
    [member] = planned(ranked, 1, said)
    assert member.trial.recipe.kept_by == metric
