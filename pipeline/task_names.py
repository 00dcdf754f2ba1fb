"""Names that the pipeline's definition gives, for those who watch its runs. Needs no kfp."""

import re
from dataclasses import dataclass

TRAINING_PIPELINE = "sanefit-training"
PREPARATION, CLOSING = "prepare", "close-run"
CHECKED, PLANTED = "check-network", "plant-faults"  # where the checks are all that runs
COMPARE, DRIFT, OPEN_RUN, CLOSE_RUN = "compare", "drift", "open run", "close run"  # steps
STAGES = ("coarse", "fine")


@dataclass(frozen=True)
class Task:
    """``name``: what its step is called, or it itself where several ``steps`` share it; those are in order."""

    name: str
    steps: tuple[str, ...] = ()


TASKS = {
    PREPARATION: Task("prepare", ("snapshot", "identity", COMPARE, DRIFT, OPEN_RUN)),
    "channel-stats": Task("stats"),
    "sanity": Task("sanity", ("sanity", "first report", "gate", "coarse plan")),
    "coarse-pack": Task("coarse pack"),
    "narrow-search": Task("narrow search", ("coarse rank", "fine plan")),
    "fine-pack": Task("fine pack"),
    "final-training": Task("train", ("fine rank", "train")),
    "register-model": Task("register", ("register", "report")),
    CLOSING: Task(CLOSE_RUN),
}
# Up to 0.9 each step was a task, and a stage of the search a pipeline inside the pipeline, with a loop over its packs.
TASKS_OF_EARLIER_RUNS = {
    "snapshot": Task("snapshot"),
    "identify-training": Task("identity"),
    "compare-with-finished-runs": Task(COMPARE),
    "open-run": Task(OPEN_RUN),
    "run-report": Task("first report"),
    "run-report-2": Task("report"),
    "gate": Task("gate"),
    "plan-trials": Task("plan"),
    "train-pack": Task("pack"),
    "rank-trials": Task("rank"),
}
OF_AN_EARLIER_STAGE = ("plan", "pack", "rank")  # the search had them once for each of
EARLIER_STAGES = {"sanefit-search-stage": "coarse", "sanefit-search-stage-2": "fine"}
PACKS = re.compile(r"((?:coarse|fine)-pack)(?:-(\d+))?")  # the first has no number


def task_named(name: str) -> Task | None:
    """The task that Kubeflow calls so; None when it is none of ours."""
    if pack := PACKS.fullmatch(name):
        return Task(f"{TASKS[pack[1]].name} {pack[2] or 1}")
    return TASKS.get(name) or TASKS_OF_EARLIER_RUNS.get(name) or TASKS_OF_EARLIER_RUNS.get(re.sub(r"-\d+$", "", name))
