"""Schedules: set, change, repair; no run is ever stopped and at most one recurring run starts runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubeflow_api_double import Fault, KubeflowDouble, Request, running_double
from kubeflow_store import ENDED, Look, Store
from stopped_clock import Clock

from sanefit.components.foundation.errors import RunFailedError, SanefitError, SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.connection import connect
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.pipeline_version import Uploaded, upload
from sanefit.pipeline.kubeflow.runs.run_record import RecordReader
from sanefit.pipeline.schedules.recurring_runs import Wanted
from sanefit.pipeline.schedules.schedule import SETTLE_SECONDS, WAIT_INTERVAL, Outcome, delete_schedule, set_schedule
from sanefit.pipeline.schedules.schedule_control import list_schedules, pause_schedule, resume_schedule
from sanefit.pipeline.settings.run_config import RunConfig

pytestmark = pytest.mark.slow

MONDAYS, TUESDAYS, SUNDAYS = "0 0 3 * * 1", "0 0 3 * * 2", "0 0 3 * * 0"


@dataclass
class Scheduler:
    """One user and what that user does."""

    double: KubeflowDouble
    kubeflow: Kubeflow
    uploaded: Uploaded
    clock: Clock
    said: list[str]

    def wanted(self, cron: str = MONDAYS) -> Wanted:
        return Wanted("digits", cron, "sanefit-runner", self.uploaded)

    def set(self, cron: str = MONDAYS, wait: bool = False, wanted: Wanted | None = None) -> Outcome:
        return set_schedule(self.kubeflow, wanted or self.wanted(cron), wait, self.said.append, self.clock.sleep)

    def delete(self, wait: bool = False) -> None:
        delete_schedule(self.kubeflow, "digits", wait, self.said.append, self.clock.sleep)

    @property
    def there(self) -> list[tuple[str, bool]]:
        """The cron expressions on the server, and whether they start runs."""
        known = self.double.store.schedules.values()
        return [(one["trigger"]["cron_schedule"]["cron"], one["status"] == "ENABLED") for one in known]

    def only(self) -> dict[str, Any]:
        [one] = self.double.store.schedules.values()
        return one

    def start_run(self) -> dict[str, Any]:
        run = self.double.store.trigger(self.only()["recurring_run_id"])
        assert run is not None
        return run

    def end(self, run: dict[str, Any], state: str = "SUCCEEDED") -> None:
        run["state"] = state


@dataclass(frozen=True)
class Prepared:
    """A server's memory after the upload, which takes a second."""

    store: Store
    uploaded: Uploaded


@pytest.fixture(scope="module")
def prepared(config: RunConfig) -> Prepared:
    with running_double() as double:
        uploaded = upload(config, connect(double.url, environment={}))
        return Prepared(double.store, uploaded)


@contextmanager
def scheduler_of(prepared: Prepared) -> Iterator[Scheduler]:
    clock = Clock()
    with running_double() as double:
        double.store = deepcopy(prepared.store)
        kubeflow = replace(connect(double.url, environment={}), sleep=clock.sleep, timeout=(2.0, 10.0))
        yield Scheduler(double, kubeflow, prepared.uploaded, clock, [])


@pytest.fixture
def scheduler(prepared: Prepared) -> Iterator[Scheduler]:
    with scheduler_of(prepared) as made:
        yield made


def test_a_first_set_creates_it(scheduler: Scheduler) -> None:
    outcome = scheduler.set()
    made = scheduler.only()
    assert (outcome.change, outcome.enabled) == ("created", True)
    assert outcome.recurring_run_id == made["recurring_run_id"]
    assert made["display_name"] == "digits"
    assert made["status"] == "ENABLED"
    assert made["max_concurrency"] == "1"
    assert made["no_catchup"] is True
    assert made["service_account"] == "sanefit-runner"
    assert made["trigger"] == {"cron_schedule": {"cron": MONDAYS}}
    assert made["runtime_config"]["parameters"] == {
        "storage": "s3://bucket/sanefit",
        "tracking_uri": "http://mlflow.mlflow.svc:5000",
    }


@pytest.mark.parametrize("paused", [False, True])
def test_setting_the_same_again_writes_nothing(paused: bool, scheduler: Scheduler) -> None:
    scheduler.set()
    if paused:
        pause_schedule(scheduler.kubeflow, "digits")
    scheduler.double.requests.clear()
    outcome = scheduler.set()
    assert (outcome.change, outcome.enabled) == ("unchanged", not paused)
    assert scheduler.double.written == []
    assert scheduler.clock.slept[-1] <= 2


def other_parameters(wanted: Wanted) -> Wanted:
    uploaded = replace(wanted.uploaded, parameters={**wanted.uploaded.parameters, "storage": "s3://other"})
    return replace(wanted, uploaded=uploaded)


CHANGES: dict[str, Callable[[Wanted], Wanted]] = {
    "cron": lambda wanted: replace(wanted, cron=TUESDAYS),
    "service account": lambda wanted: replace(wanted, service_account="other"),
    "parameters": other_parameters,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("paused", [False, True])
def test_a_change_replaces_it_and_keeps_its_state(
    paused: bool, change: Callable[[Wanted], Wanted], scheduler: Scheduler
) -> None:
    scheduler.set()
    before = scheduler.only()
    if paused:
        pause_schedule(scheduler.kubeflow, "digits")
    wanted = change(scheduler.wanted())
    outcome = scheduler.set(wanted=wanted)
    assert (outcome.change, outcome.enabled) == ("replaced", not paused)
    after = scheduler.only()
    assert after["recurring_run_id"] != before["recurring_run_id"]
    assert (after["status"] == "ENABLED") is not paused
    scheduler.double.requests.clear()
    assert scheduler.set(wanted=wanted).change == "unchanged"
    assert scheduler.double.written == []


def test_another_version_or_experiment_is_a_change(scheduler: Scheduler, config: RunConfig) -> None:
    scheduler.set()
    newer = upload(config.model_copy(update={"seed": 1}), scheduler.kubeflow)
    assert scheduler.set(wanted=replace(scheduler.wanted(), uploaded=newer)).change == "replaced"
    elsewhere = upload(config.model_copy(update={"name": "elsewhere", "seed": 1}), scheduler.kubeflow)
    moved = replace(newer, experiment_id=elsewhere.experiment_id)
    assert scheduler.set(wanted=replace(scheduler.wanted(), uploaded=moved)).change == "replaced"


@pytest.mark.parametrize(
    "edit",
    [
        {"max_concurrency": "2"},
        {"no_catchup": False},
        {"trigger": {"periodic_schedule": {"interval_second": "60"}}},
        {"trigger": {"cron_schedule": {"cron": MONDAYS, "end_time": "2026-12-24T00:00:00Z"}}},
    ],
)
def test_what_someone_edited_is_put_right(edit: dict[str, Any], scheduler: Scheduler) -> None:
    scheduler.set()
    scheduler.only().update(edit)
    assert scheduler.set().change == "replaced"
    assert scheduler.only()["trigger"] == {"cron_schedule": {"cron": MONDAYS}}
    assert scheduler.only()["max_concurrency"] == "1"


def test_a_change_with_a_run_in_progress_is_refused_and_writes_nothing(scheduler: Scheduler) -> None:
    scheduler.set()
    run = scheduler.start_run()
    scheduler.double.requests.clear()
    with pytest.raises(RunFailedError, match=rf"in progress \({run['display_name']}\).*or give --wait") as caught:
        scheduler.set(TUESDAYS)
    assert caught.value.exit_status == 1
    assert scheduler.double.written == []
    assert scheduler.there == [(MONDAYS, True)]
    scheduler.end(run)
    assert scheduler.set(TUESDAYS).change == "replaced"
    assert scheduler.double.store.killed == []


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "PAUSED", "CANCELING", "HIBERNATING", "RUNTIME_STATE_UNSPECIFIED"]
)
def test_every_state_that_is_no_end_counts_as_in_progress(state: str, scheduler: Scheduler) -> None:
    scheduler.set()
    scheduler.end(scheduler.start_run(), state)
    with pytest.raises(RunFailedError):
        scheduler.set(TUESDAYS)
    with pytest.raises(RunFailedError):
        scheduler.delete()
    assert scheduler.double.store.killed == []


@pytest.mark.parametrize("doing", ["set", "delete"])
def test_a_run_that_begins_at_the_last_moment_puts_the_old_schedule_back(doing: str, scheduler: Scheduler) -> None:
    scheduler.set()
    store, once = scheduler.double.store, [1]

    def before(request: Any) -> None:
        if request.path.endswith(":disable") and once:
            once.pop()
            scheduler.start_run() if len(store.schedules) == 1 else store.trigger(next(iter(store.schedules)))

    scheduler.double.before = before
    with pytest.raises(RunFailedError, match="in progress"):
        scheduler.set(TUESDAYS) if doing == "set" else scheduler.delete()
    assert scheduler.there == [(MONDAYS, True)]
    assert store.killed == []
    assert SETTLE_SECONDS in scheduler.clock.slept


@pytest.mark.parametrize("look", [1, 2])
def test_a_run_that_ends_between_two_looks_is_no_trouble(look: int, scheduler: Scheduler) -> None:
    scheduler.set()
    run = scheduler.start_run()
    seen = [0]

    def before(request: Request) -> None:
        if request.path.endswith("/runs"):
            seen[0] += 1
            if seen[0] == look:
                scheduler.end(run)

    scheduler.double.before = before
    if look == 1:
        assert scheduler.set(TUESDAYS).change == "replaced"
    else:
        with pytest.raises(RunFailedError):
            scheduler.set(TUESDAYS)
        assert scheduler.there == [(MONDAYS, True)]


@pytest.mark.parametrize("doing", ["set", "delete"])
def test_waiting_for_a_run_in_progress(doing: str, scheduler: Scheduler) -> None:
    scheduler.set()
    run = scheduler.start_run()
    looks = [3]

    def before(request: Any) -> None:
        if request.path.endswith("/runs") and "NOT_EQUALS" in request.query.get("filter", ""):
            looks[0] -= 1
            if looks[0] == 0:
                scheduler.end(run)

    scheduler.double.before = before
    scheduler.set(TUESDAYS, wait=True) if doing == "set" else scheduler.delete(wait=True)
    assert scheduler.there == ([(TUESDAYS, True)] if doing == "set" else [])
    assert scheduler.double.store.killed == []
    assert scheduler.said == [f"waiting for {run['display_name']} to end"] * 2
    assert scheduler.clock.slept.count(WAIT_INTERVAL) == 2


@pytest.mark.parametrize("doing", ["set", "delete"])
def test_ctrl_c_while_waiting_leaves_the_schedule_as_it_was(doing: str, scheduler: Scheduler) -> None:
    scheduler.set()
    scheduler.start_run()

    def interrupt(seconds: float) -> None:
        if seconds == WAIT_INTERVAL:
            raise KeyboardInterrupt

    with pytest.raises(RunFailedError, match="the schedule is as it was"):
        if doing == "set":
            set_schedule(scheduler.kubeflow, scheduler.wanted(TUESDAYS), True, print, interrupt)
        else:
            delete_schedule(scheduler.kubeflow, "digits", True, print, interrupt)
    assert scheduler.there == [(MONDAYS, True)]
    assert scheduler.double.store.killed == []


def test_when_the_new_one_cannot_be_created_the_old_one_goes_on(scheduler: Scheduler) -> None:
    scheduler.set()
    scheduler.double.fail("POST", "/recurringruns$", 500)
    with pytest.raises(KubeflowError):
        scheduler.set(TUESDAYS)
    assert scheduler.there == [(MONDAYS, True)]


def test_a_schedule_that_took_over_and_was_paused_later_stays_paused(scheduler: Scheduler) -> None:
    scheduler.set()
    scheduler.set(TUESDAYS)
    pause_schedule(scheduler.kubeflow, "digits")
    assert not scheduler.set(SUNDAYS).enabled
    assert scheduler.there == [(SUNDAYS, False)]


def test_of_two_that_are_alike_the_one_that_starts_runs_stays(scheduler: Scheduler) -> None:
    scheduler.set()
    first = scheduler.only()
    scheduler.double.store.create_schedule({**first, "mode": "ENABLE"})
    first["status"] = "DISABLED"
    second = [*scheduler.double.store.schedules.values()][1]
    scheduler.double.store.start_run_of(second["recurring_run_id"])
    assert scheduler.set().recurring_run_id == second["recurring_run_id"]
    assert scheduler.there == [(MONDAYS, True)]
    assert scheduler.double.store.killed == []


def test_an_old_one_that_is_gone_already_is_fine(scheduler: Scheduler) -> None:
    scheduler.set()

    def before(request: Request) -> None:
        if request.method == "DELETE":
            del scheduler.double.store.schedules[request.path.rsplit("/", 1)[1]]

    scheduler.double.before = before
    assert scheduler.set(TUESDAYS).change == "replaced"
    assert scheduler.there == [(TUESDAYS, True)]


def test_looking_for_a_run_in_progress_does_not_fetch_years_of_runs(scheduler: Scheduler) -> None:
    scheduler.set()
    one = scheduler.start_run()
    scheduler.end(one)
    for number in range(500):
        ended = {"run_id": f"old-{number}", "state": ENDED[number % len(ENDED)]}
        scheduler.double.store.runs[f"old-{number}"] = {**one, **ended}
        scheduler.double.store.runs[f"other-{number}"] = {**one, "recurring_run_id": "other", "state": "RUNNING"}
    scheduler.double.requests.clear()
    scheduler.set(TUESDAYS)
    looks = [request for request in scheduler.double.requests if request.path.endswith("/runs")]
    assert len(looks) == 2  # before, and after the pause
    assert all("page_token" not in request.query for request in looks)


def test_schedules_of_others_are_left_alone(scheduler: Scheduler) -> None:
    store = scheduler.double.store
    scheduler.set()
    theirs = {**scheduler.only(), "recurring_run_id": "theirs"}
    theirs["pipeline_version_reference"] = {"pipeline_id": "theirs", "pipeline_version_id": "theirs"}
    namesake = {**scheduler.only(), "recurring_run_id": "namesake", "display_name": "Digits"}
    store.schedules |= {"theirs": theirs, "namesake": namesake}
    scheduler.set(TUESDAYS)
    pause_schedule(scheduler.kubeflow, "digits")
    scheduler.delete()
    assert [*store.schedules] == ["theirs", "namesake"]
    assert all(one["status"] == "ENABLED" for one in store.schedules.values())


def test_pause_and_resume(scheduler: Scheduler) -> None:
    scheduler.set()
    assert pause_schedule(scheduler.kubeflow, "digits")
    assert scheduler.there == [(MONDAYS, False)]
    assert not pause_schedule(scheduler.kubeflow, "digits")
    assert resume_schedule(scheduler.kubeflow, "digits")
    assert scheduler.there == [(MONDAYS, True)]
    assert not resume_schedule(scheduler.kubeflow, "digits")


@pytest.mark.parametrize("do", [pause_schedule, resume_schedule])
def test_a_name_that_is_none(do: Callable[[Kubeflow, str], bool], scheduler: Scheduler) -> None:
    scheduler.set()
    with pytest.raises(SettingsError, match=r"no schedule is named 'digit'.*: digits"):
        do(scheduler.kubeflow, "digit")


def test_schedules_are_listed_over_pages(scheduler: Scheduler) -> None:
    store = scheduler.double.store
    scheduler.set()
    mine = scheduler.only()
    for number in range(450):
        store.create_schedule({**mine, "display_name": f"s{number}"})
    assert len(list_schedules(scheduler.kubeflow)) == 451


def test_a_pause_in_the_middle_of_a_change_lasts(scheduler: Scheduler) -> None:
    scheduler.set()
    interrupt(scheduler, TUESDAYS, writes=1)
    assert scheduler.there == [(MONDAYS, True), (TUESDAYS, False)]
    assert pause_schedule(scheduler.kubeflow, "digits")
    assert scheduler.there == [(MONDAYS, False)]
    assert not scheduler.set(TUESDAYS).enabled
    assert scheduler.there == [(TUESDAYS, False)]


def test_runs_of_both_sides_of_a_change_are_left_alone(scheduler: Scheduler) -> None:
    scheduler.set()
    interrupt(scheduler, TUESDAYS, writes=3)
    assert scheduler.there == [(MONDAYS, False), (TUESDAYS, True)]
    store = scheduler.double.store
    for one in [*store.schedules]:
        store.start_run_of(one)  # the old one's by sanefit runs retry
    pause_schedule(scheduler.kubeflow, "digits")
    assert scheduler.there == [(MONDAYS, False), (TUESDAYS, False)]
    with pytest.raises(RunFailedError, match="in progress"):
        scheduler.set(TUESDAYS)
    assert store.killed == []
    assert len(store.schedules) == 2


def test_resume_in_the_middle_of_a_change_is_refused(scheduler: Scheduler) -> None:
    scheduler.set()
    interrupt(scheduler, TUESDAYS, writes=1)
    with pytest.raises(SettingsError, match="run sanefit schedule set again"):
        resume_schedule(scheduler.kubeflow, "digits")


class KilledError(Exception):
    """The command was killed, as by SIGKILL: nothing is put back."""


def interrupt(scheduler: Scheduler, cron: str, writes: int) -> bool:
    """Set, and be killed after so many writes; whether it came to that."""
    call, count = Kubeflow.call, [0]

    def counted(self: Kubeflow, to: str, *arguments: Any, **options: Any) -> Any:
        if not to.startswith(("get ", "list ")):
            if count[0] == writes:
                raise KilledError
            count[0] += 1
        return call(self, to, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kubeflow, "call", counted)
        try:
            scheduler.set(cron)
        except KilledError:
            return True
    return False


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("then", [TUESDAYS, MONDAYS, SUNDAYS])
@pytest.mark.parametrize("writes", range(5))
def test_a_change_that_was_killed_is_finished_by_the_next(
    writes: int, then: str, paused: bool, scheduler: Scheduler
) -> None:
    scheduler.set()
    if paused:
        pause_schedule(scheduler.kubeflow, "digits")
    killed = interrupt(scheduler, TUESDAYS, writes)
    assert killed == (writes < (2 if paused else 4))
    assert sum(enabled for _, enabled in scheduler.there) <= 1
    scheduler.set(then)
    assert scheduler.there == [(then, not paused)]
    assert scheduler.double.store.killed == []


@pytest.mark.parametrize("writes", range(4))
def test_a_change_that_was_killed_and_a_run_in_progress(writes: int, scheduler: Scheduler) -> None:
    scheduler.set()
    interrupt(scheduler, TUESDAYS, writes)
    store = scheduler.double.store
    runs = [store.start_run_of(next(iter(store.schedules)))]
    with pytest.raises(RunFailedError, match="in progress"):
        scheduler.set(TUESDAYS)
    assert sum(enabled for _, enabled in scheduler.there) == 1
    for run in runs:
        scheduler.end(run)
    scheduler.set(TUESDAYS)
    assert scheduler.there == [(TUESDAYS, True)]
    assert store.killed == []


@dataclass(frozen=True)
class Attempt:
    """One ``set``: which requests fail how; before which ones the schedule is due, and runs end."""

    cron: str
    skip: int
    how: str | int
    times: int
    due: frozenset[int]
    runs_end: bool
    ends: frozenset[int]


ATTEMPTS = st.builds(
    Attempt,
    cron=st.sampled_from([MONDAYS, TUESDAYS, SUNDAYS]),
    skip=st.integers(0, 14),
    how=st.sampled_from([401, 403, 409, 429, 500, 503, "drop", "lose", "login page"]),
    times=st.integers(1, 3),
    due=st.frozensets(st.integers(0, 14), max_size=2),
    runs_end=st.booleans(),
    ends=st.frozensets(st.integers(0, 14), max_size=2),
)


@settings(max_examples=150, deadline=None)
@given(attempts=st.lists(ATTEMPTS, min_size=1, max_size=4))
def test_whatever_request_fails_and_whenever_runs_begin(attempts: list[Attempt], prepared: Prepared) -> None:
    with scheduler_of(prepared) as scheduler:
        store = scheduler.double.store
        scheduler.set()
        for attempt in attempts:
            if attempt.runs_end:
                end_all(scheduler)
            scheduler.double.faults = [Fault(".*", "recurringruns|/runs", attempt.how, attempt.times, attempt.skip)]
            scheduler.double.before = due_before(store, attempt.due, attempt.ends)
            with suppress(SanefitError):
                scheduler.set(attempt.cron)
            assert sum(enabled for _, enabled in scheduler.there) <= 1
            assert sum(run["state"] not in ENDED for run in store.runs.values()) <= 1
            assert store.killed == []
        scheduler.double.faults, scheduler.double.before = [], None
        end_all(scheduler)
        scheduler.set(TUESDAYS)
        assert scheduler.there == [(TUESDAYS, True)]
        assert store.killed == []
        scheduler.double.requests.clear()
        assert scheduler.set(TUESDAYS).change == "unchanged"
        assert scheduler.double.written == []


def due_before(store: Store, numbers: frozenset[int], ends: frozenset[int]) -> Callable[[Request], None]:
    count = iter(range(10_000))

    def before(_: Request) -> None:
        number = next(count)
        if number in ends:
            for run in store.runs.values():
                run["state"] = "SUCCEEDED"
        if number in numbers:
            for one in [*store.schedules]:
                store.trigger(one)

    return before


def end_all(scheduler: Scheduler) -> None:
    for run in scheduler.double.store.runs.values():
        scheduler.end(run)


def test_two_sets_at_once_leave_one(scheduler: Scheduler) -> None:
    once = [1]

    def before(request: Any) -> None:
        if request.method == "POST" and request.path.endswith("/recurringruns") and once:
            once.pop()
            scheduler.double.store.create_schedule(request.body)

    scheduler.double.before = before
    scheduler.set()
    assert scheduler.there == [(MONDAYS, True)]


def test_a_run_of_a_schedule_is_followed_like_any_other(scheduler: Scheduler, silent: RecordReader) -> None:
    from sanefit.pipeline.kubeflow.runs.follow_run import follow

    scheduler.set()
    scheduler.double.store.script = [Look("SUCCEEDED", 99)]
    run = scheduler.start_run()
    clock = scheduler.clock
    followed = follow(scheduler.kubeflow, run["run_id"], lambda *_: None, silent, clock=clock, sleep=clock.sleep)
    assert followed.succeeded
