"""How many planted faults the checks catch."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sanefit.components.foundation.machine.forked_work import side_by_side
from sanefit.components.foundation.schemas.checks import GateResult
from sanefit.components.foundation.schemas.mutations import MutationReport, PlantedResult
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.sanity_checks.checklist import gates_of
from sanefit.components.sanity_checks.mutation.data_faults import DATA_FAULTS
from sanefit.components.sanity_checks.mutation.network_faults import NETWORK_FAULTS
from sanefit.components.sanity_checks.mutation.planted_fault import PlantedFault
from sanefit.components.sanity_checks.mutation.training_faults import TRAINING_FAULTS
from sanefit.components.sanity_checks.mutation.weight_faults import WEIGHT_FAULTS
from sanefit.components.sanity_checks.progress import progress
from sanefit.components.sanity_checks.setup import Setup

FAULTS = (*DATA_FAULTS, *WEIGHT_FAULTS, *NETWORK_FAULTS, *TRAINING_FAULTS)
TRAIN_IMAGES, VALIDATION_IMAGES = 5000, 2000
MOST_VALUES = 2**29  # bytes of images
ALARMS = ("warn", "fail")


def mutation_score(setup: Setup, say: Say) -> MutationReport:
    """Plant each fault into the set-up, and run the checks until one of them names its family.

    On 5,000 training and 2,000 validation images at most, as drawn with the set-up's seed. An alarm that the sound
    set-up raises too catches nothing.

    Args:
        setup: a sound one.
        say: prints a line for each fault.
    """
    sound = replace(_sampled(setup), choices={}, not_looked_at=(), searched=None, workers=1)
    known: set[tuple[str, str]] = {(gate.name, gate.fix) for gate in gates_of(sound) if gate.verdict in ALARMS}
    started, results = setup.clock(), list[PlantedResult]()
    pieces = [partial(_result, fault, sound, known) for fault in FAULTS]
    for number, result in enumerate(side_by_side(pieces, setup.workers), start=1):
        results.append(result)
        say(f"{planted_line(result)} ({progress(setup.clock() - started, number, len(FAULTS))})")
    report = MutationReport(planted=results)
    say(
        f"mutation score {report.mutation_score:.3f}: {report.caught} of {len(report.applicable)} planted faults caught"
    )
    return report


def planted_line(result: PlantedResult) -> str:
    """What is printed of one fault."""
    by = f": {result.check} says {result.measured!r}" if result.check else ""
    return f"{result.verdict:14} {result.fault}{by}"


def _result(fault: PlantedFault, sound: Setup, known: set[tuple[str, str]]) -> PlantedResult:
    planted = fault.plant(sound)
    if planted is None:
        return PlantedResult(fault=fault.name, verdict="not applicable")
    other: GateResult | None = None
    for gate in _new_alarms(planted, known):
        if any(word in f"{gate.measured} {gate.fix}" for word in fault.says):
            return PlantedResult(fault=fault.name, verdict="caught", check=gate.name, measured=gate.measured)
        other = other or gate
    if other is None:
        return PlantedResult(fault=fault.name, verdict="missed")
    return PlantedResult(fault=fault.name, verdict="misnamed", check=other.name, measured=other.measured)


def _new_alarms(planted: Setup, known: set[tuple[str, str]]) -> Iterator[GateResult]:
    return (gate for gate in gates_of(planted) if gate.verdict in ALARMS and (gate.name, gate.fix) not in known)


def _sampled(setup: Setup) -> Setup:
    """With images in memory, a sample where they are many."""
    train = setup.drawn(TRAIN_IMAGES, MOST_VALUES)
    validation = slice(min(VALIDATION_IMAGES, len(train)))
    return replace(
        setup,
        train_pixels=setup.train_pixels[train],
        train_labels=setup.train_labels[train],
        validation_pixels=setup.validation_pixels[validation],
        validation_labels=setup.validation_labels[validation],
        train_files=None if setup.train_files is None else setup.train_files[train],
        validation_files=None if setup.validation_files is None else setup.validation_files[validation],
    )
