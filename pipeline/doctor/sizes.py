"""What the steps of a run used, beside what they ask for."""

import math
import re
from collections.abc import Iterator
from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

from sanefit.components.foundation.schemas.run_record import RunRecord, StepRecord
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.settings.cluster_settings import ClusterSettings
from sanefit.pipeline.task_names import PREPARATION, TASKS

SECTIONS = ("data_steps", "trainer_steps", "search_packs", "final_training")
HEADROOM = 1.25  # of memory: it is looked at now and then, and images and batches differ
STEP_OF_MEMORY = 256 * 2**20  # bytes that a suggestion is a multiple of
CLOSE = 0.9  # of the memory that is asked for: more is one large batch from the end


def size_findings(record: RunRecord, cluster: ClusterSettings) -> Iterator[Finding]:
    """For each kind of step, what the largest of a run used; nothing of a kind that was not looked at.

    Args:
        record: of the run.
        cluster: what its steps asked for.
    """
    for section in SECTIONS:
        steps = [step for step in record.steps if section_of(step.step) == section and step.peak_memory]
        if steps:
            yield _finding(section, steps, cluster)


def section_of(step: str) -> str:
    """The section of ``cluster`` that says what a step gets."""
    if re.fullmatch(r"(coarse|fine) pack \d+", step):
        return "search_packs"
    if step in TASKS["final-training"].steps:
        return "final_training"
    of_data = (*TASKS[PREPARATION].steps, TASKS["channel-stats"].name)
    return "data_steps" if step in of_data else "trainer_steps"


def _finding(section: str, steps: list[StepRecord], cluster: ClusterSettings) -> Finding:
    asked = getattr(cluster, section)
    largest = max(steps, key=lambda step: step.peak_memory)
    cores = max(step.cores for step in steps)
    seen = (
        f"{len(steps)} step{'s' if len(steps) > 1 else ''}: at most {largest.peak_memory / 2**30:.1f} GiB "
        f"({largest.step}) of {asked.memory}, {cores:.1f} of {asked.cpu} cores on average"
    )
    if busy := [step.gpu_utilization for step in steps if step.gpu_utilization is not None]:
        seen += f"; its GPUs computed in {min(busy):.0%} to {max(busy):.0%} of the time"
    what, wanted = section.replace("_", " "), suggested_memory(largest.peak_memory)
    limit = parse_quantity(asked.memory)
    if largest.peak_memory > CLOSE * float(limit):
        return Finding(what, "warning", seen, f"set cluster.{section}.memory={wanted}")
    smaller = parse_quantity(wanted) < Decimal("0.75") * limit
    return Finding(what, "ok", seen, f"cluster.{section}.memory={wanted} would do" if smaller else "")


def suggested_memory(peak: int) -> str:
    """What to ask for where so many bytes were used, as in 768Mi or 2Gi."""
    steps = math.ceil(peak * HEADROOM / STEP_OF_MEMORY)
    return f"{steps // 4}Gi" if steps % 4 == 0 else f"{steps * 256}Mi"
