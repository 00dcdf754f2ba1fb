"""Deal a stage's trials into packs, trials that can be trained as one stack of networks together."""

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

from sanefit.components.foundation.schemas.search import TrialSpec


def deal(trials: Sequence[TrialSpec], packs: int) -> list[list[TrialSpec]]:
    """Deal trials like cards: packs differ by at most one trial, and none is empty."""
    packs = min(packs, len(trials))
    return [list(trials[pack::packs]) for pack in range(packs)]


def deal_by_key(trials: Sequence[TrialSpec], packs: int, key: Callable[[TrialSpec], Hashable]) -> list[list[TrialSpec]]:
    """Deal trials into packs that hold as few keys each as there is room for.

    With no more keys than packs, a pack holds one key, and every key has packs in proportion to its trials; packs of
    one key differ by at most one trial. With more keys, a key is in one pack, and the largest go first, each to the
    pack that has the fewest trials by then (Graham's LPT rule).

    Args:
        trials: at least one.
        packs: how many there are, unless there are fewer trials.
        key: of a trial.
    """
    grouped: dict[Hashable, list[TrialSpec]] = {}
    for trial in trials:
        grouped.setdefault(key(trial), []).append(trial)
    groups, packs = list(grouped.values()), min(packs, len(trials))
    if len(groups) <= packs:
        shares = apportion([len(group) for group in groups], packs)
        return [pack for group, share in zip(groups, shares, strict=True) for pack in deal(group, share)]
    dealt: list[list[TrialSpec]] = [[] for _ in range(packs)]
    for group in sorted(groups, key=len, reverse=True):
        min(dealt, key=len).extend(group)
    return dealt


def apportion(sizes: Sequence[int], seats: int) -> list[int]:
    """Seats of each group by the largest remainder (Hamilton's method), but at least one and at most its size.

    Args:
        sizes: of the groups, each at least 1.
        seats: at least as many as groups, at most the sum of ``sizes``.
    """
    total = sum(sizes)
    quotas = [Fraction(seats * size, total) for size in sizes]
    shares = [max(1, int(quota)) for quota in quotas]
    missing = [quota - share for quota, share in zip(quotas, shares, strict=True)]
    while sum(shares) != seats:
        step = 1 if sum(shares) < seats else -1
        open_groups = [i for i, share in enumerate(shares) if share + step >= 1]
        chosen = max(open_groups, key=lambda i: step * missing[i])
        shares[chosen] += step
        missing[chosen] -= step
    return shares
