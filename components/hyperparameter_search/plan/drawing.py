"""Draw the settings of a stage's trials, as ``search.method`` says."""

import warnings
from collections.abc import Sequence

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import QMCSampler, RandomSampler, TPESampler

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.search import SearchRange, TrialResult, TrialSetting
from sanefit.components.hyperparameter_search.study import add_results, ask, new_study, search_space

SAMPLER_SEEDS = 2**32  # numpy's older generators take no larger seed
STARTUP = 10  # results from which on TPE draws by them, before at random; optuna's own number


def draw_random(searched: SearchRange, trials: int, seed: int) -> list[TrialSetting]:
    """Independent draws, rate and weight decay uniform in the logarithm (Bergstra and Bengio 2012).

    The further values come from a stream of their own: searching one more leaves the rates and decays as they were.
    """
    space = search_space(searched)
    always = {name: space.pop(name) for name in ("learning_rate", "weight_decay")}
    first = ask(new_study(RandomSampler(seed=seed % SAMPLER_SEEDS)), always, trials)
    further_seed = derive_seed(seed, "further") % SAMPLER_SEEDS
    further = ask(new_study(RandomSampler(seed=further_seed)), space, trials)
    return [TrialSetting.model_validate(one | more) for one, more in zip(first, further, strict=True)]


def draw_quasi_random(searched: SearchRange, trials: int, seed: int) -> list[TrialSetting]:
    """Points of a scrambled Sobol sequence, one coordinate a value: they cover the space more evenly than chance.

    A list of choices takes a coordinate too, cut into equal parts (optuna 5). Evenest when ``trials`` is a power of
    two (Owen 1998; Bergstra and Bengio 2012, section 4, for searches such as this).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of the sampler, whose interface may change
        sampler = QMCSampler(qmc_type="sobol", scramble=True, seed=seed % SAMPLER_SEEDS)
    # The sampler learns the space from a first trial, which it draws at random: that one is no part of the sequence.
    drawn = ask(new_study(sampler), search_space(searched), trials + 1)[1:]
    return [TrialSetting.model_validate(params) for params in drawn]


def draw_tpe(
    searched: SearchRange, results: Sequence[TrialResult], trials: int, seed: int
) -> tuple[list[TrialSetting], int]:
    """Draws that favor where good trials lie over where bad ones do (Bergstra et al. 2011), and from how many results.

    Below ten results the draws are random. Those of one call keep away from each other, as if each
    had given a bad result already ("constant liar").

    Args:
        searched: bounds and choices of the draws.
        results: known trials; those outside ``searched`` are left out.
        trials: how many to draw.
        seed: of the draws.
    """
    space = search_space(searched)
    study = new_study(TPESampler(seed=seed % SAMPLER_SEEDS, n_startup_trials=STARTUP, constant_liar=True))
    known = add_results(study, space, sorted(results, key=lambda result: result.spec.number), searched.metric)
    return [TrialSetting.model_validate(params) for params in ask(study, space, trials)], known
