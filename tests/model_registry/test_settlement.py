"""Several runs that promote at the same time: whatever their order, and whoever is killed, the best is champion."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.models import champion_version, set_alias
from sanefit.components.model_registry.settlement import (
    Proposal,
    Standing,
    best_of,
    propose,
    read_proposals,
    read_standing,
)

NAME = "digits"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TIME = NOW.isoformat()
FIRST = "1"  # the champion before
SCORES = {"2": 0.95, "3": 0.85, "4": 0.90}


class Killed(BaseException):
    """Of a run in the middle of its promotion."""


class Page(list[Any]):
    """As MLflow gives its versions."""

    token = None


@dataclass
class Registry:
    """MLflow's versions, tags and aliases in memory; ``before_call``: is told of each call."""

    tags: dict[str, dict[str, str]] = field(default_factory=lambda: {version: {} for version in (FIRST, *SCORES)})
    champion: str | None = FIRST
    before_call: Callable[[], None] = lambda: None

    def search_model_versions(self, *_: object, **__: object) -> Page:
        self.before_call()
        return Page(SimpleNamespace(version=version, tags=dict(tags)) for version, tags in self.tags.items())

    def set_model_version_tag(self, _: str, version: str, tag: str, value: str) -> None:
        self.before_call()
        self.tags[version][tag] = value

    def get_model_version_by_alias(self, *_: object) -> SimpleNamespace:
        self.before_call()
        if self.champion is None:
            raise MlflowException("no such alias", error_code=RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(version=self.champion)

    def set_registered_model_alias(self, _: str, __: str, version: str) -> None:
        self.before_call()
        self.champion = version


def promote(registry: Any, version: str, score: float) -> None:
    """As a registering run does, when its version is better than whatever is champion."""
    standing = read_standing(registry, NAME, NOW)
    over = standing.champion
    if over and (score <= SCORES.get(over, 0.8)):
        return
    propose(registry, NAME, version, Proposal(over=over, score=score, time=TIME, past=standing.past))


def interleaved(registry: Registry, turns: Sequence[int], kills: dict[str, int]) -> None:
    """Run all promotions, one call to the registry at a time, in the order that ``turns`` says.

    ``kills``: after how many of its calls a run is killed.
    """
    granted = {version: threading.Semaphore(0) for version in SCORES}
    waiting: dict[str, threading.Event] = {version: threading.Event() for version in SCORES}
    calls = dict.fromkeys(SCORES, 0)
    here = threading.local()

    def before_call() -> None:
        version = getattr(here, "version", None)
        if version is None:
            return
        waiting[version].set()
        granted[version].acquire()
        calls[version] += 1
        if calls[version] > kills.get(version, 10**6):
            raise Killed

    def run(version: str) -> None:
        here.version = version
        try:
            promote(registry, version, SCORES[version])
        except Killed:
            pass
        finally:
            done.add(version)
            waiting[version].set()

    registry.before_call = before_call
    done: set[str] = set()
    threads = {version: threading.Thread(target=run, args=[version], daemon=True) for version in SCORES}
    for thread in threads.values():
        thread.start()
    order = iter(turns)
    while True:
        for version in SCORES:
            assert waiting[version].wait(10)
        alive = [version for version in SCORES if version not in done]
        if not alive:
            break
        chosen = alive[next(order, 0) % len(alive)]
        waiting[chosen].clear()
        granted[chosen].release()
    for thread in threads.values():
        thread.join(10)


def best_proposed(registry: Any) -> str:
    """The best of those that wrote down that they are to be champion; the champion before without one."""
    proposals = read_proposals(registry, NAME)
    return max(proposals, key=lambda version: proposals[version].score, default=FIRST)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=60), st.booleans())
def test_whatever_the_order_of_their_calls_the_best_is_champion(turns: list[int], first: bool) -> None:
    registry = Registry(champion=None if first else FIRST)
    interleaved(registry, turns, {})
    assert registry.champion == "2"
    assert all(proposal.settled for proposal in read_proposals(registry, NAME).values())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=60), st.dictionaries(st.sampled_from(sorted(SCORES)), st.integers(0, 14)))
@example([1, 1, 1, 2, 1, 1], {"3": 6, "4": 4})  # 3 moves the alias back after 2 was settled, and is killed
def test_the_next_run_settles_what_killed_ones_left(turns: list[int], kills: dict[str, int]) -> None:
    registry = Registry()
    interleaved(registry, turns, kills)
    registry.before_call = lambda: None
    standing = read_standing(registry, NAME, NOW + timedelta(hours=1))  # as every run begins
    assert standing.champion == registry.champion == best_proposed(registry)
    assert all(proposal.settled for proposal in read_proposals(registry, NAME).values())


def test_a_champion_that_was_put_back_is_not_replaced_by_what_was_settled_before() -> None:
    registry = Registry()
    promote(registry, "2", 0.95)
    registry.champion = FIRST  # by hand
    promote(registry, "3", 0.85)
    assert registry.champion == "3"


def test_what_a_rival_was_found_better_than_is_not_champion_whatever_its_own_images_said() -> None:
    one = Proposal(over="1", score=0.95, time=TIME)
    two, three = Proposal(over="2", score=0.94, time=TIME), Proposal(over="1", score=0.9, time=TIME)
    assert best_of("4", three, {"2": one, "3": two, "4": three}) == "3"


def proposal_over(version: str) -> Proposal:
    return Proposal(over=version, score=0.9, time=TIME)


def test_a_run_that_began_before_a_rival_registered_is_compared_with_the_champion_from_before() -> None:
    began, proposals = Standing(champion="1"), {"2": proposal_over("1")}
    assert began.before_rivals(Standing(champion="2", past=["2"]), proposals) == began
    assert began.before_rivals(began, {}) == began


def test_a_champion_that_no_rival_put_there_is_the_one_to_compare_with() -> None:
    proposals = {"2": proposal_over("1"), "3": proposal_over("1")}
    by_hand = Standing(champion="7", past=["2", "3"])
    assert Standing(champion="1", past=["2"]).before_rivals(by_hand, proposals) == by_hand
    put_back = Standing(champion="2", past=["2", "3"])  # a version from before this run
    assert Standing(champion="3", past=["2", "3"]).before_rivals(put_back, proposals) == put_back


def test_of_equals_the_first_version_is_best() -> None:
    mine = Proposal(over="1", score=0.9, time=TIME)
    assert best_of("10", mine, {"9": mine, "10": mine}) == "9"


def test_of_versions_that_were_found_better_than_each_other_the_score_decides() -> None:
    first, second = Proposal(over="2", score=0.8, time=TIME), Proposal(over="1", score=0.9, time=TIME)
    assert best_of("1", first, {"1": first, "2": second}) == "2"
    assert best_of("2", second, {"1": first, "2": second}) == "2"


@pytest.fixture
def store(tmp_path: Path) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    connect(uri).create_experiment("made")
    return uri


class _Dying:
    """A client that ends its process after so many calls."""

    def __init__(self, client: Any, calls: int) -> None:
        self._client, self._left = client, calls

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._left == 0:
                os._exit(9)
            self._left -= 1
            return getattr(self._client, name)(*arguments, **named)

        return call


def _promote_there(uri: str, name: str, version: str, calls: int, start: Any) -> None:
    client = _Dying(connect(uri), calls)
    standing = read_standing(client, name, NOW)  # type: ignore[arg-type]
    start.wait(30)
    over = standing.champion
    proposal = Proposal(over=over, score=SCORES[version], time=TIME, past=standing.past)
    propose(client, name, version, proposal)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("runs", [2, 3])
def test_processes_that_promote_at_once_end_with_the_best_in_a_real_store(store: str, runs: int) -> None:
    """25 rounds; in every other one a process is killed after so many calls."""
    context = multiprocessing.get_context("fork")
    for number in range(25):
        name, client = f"round-{number}", connect(store)
        client.create_registered_model(name)
        for _ in range(1 + runs):
            client.create_model_version(name, source="file:///nowhere")
        set_alias(client, name, "champion", FIRST)
        start = context.Barrier(runs)
        versions = sorted(SCORES)[:runs]
        # The start is waited for after three calls: whoever dies does so later.
        calls = dict.fromkeys(versions, 10**6)
        if number % 2:
            calls[versions[number % runs]] = 4 + number % 7
        processes = [
            context.Process(target=_promote_there, args=(store, name, version, calls[version], start))
            for version in versions
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        standing = read_standing(client, name, NOW + timedelta(hours=1))
        best = max(read_proposals(client, name), key=lambda version: SCORES[version])
        assert standing.champion == champion_version(client, name) == best
        if not number % 2:
            assert best == "2"
            assert [process.exitcode for process in processes] == [0] * runs
