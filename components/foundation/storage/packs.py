"""Plans and results of packs in a run's folder, and the short texts that name them."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, Stage, TrialResult
from sanefit.components.foundation.schemas.stage_plan import StagePlan
from sanefit.components.foundation.schemas.training import TrainingParameters
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import RunFolder, Storage
from sanefit.components.foundation.storage.results import parse_content, parse_result, store_result

DIGITS = 12  # of the content's digest: hundreds of texts go into one parameter
TEXT = re.compile(rf"(?P<pack>\d+)-(?P<digest>[0-9a-f]{{{DIGITS}}})")


def store_pack_plan(run: RunReference, plan: PackPlan) -> str:
    """Keep the plan of one pack; its text, as in ``007-1f3a9c2b4d5e``."""
    return _store(_folder(run).pack_plan(plan.stage, plan.pack), plan.pack, plan)


def store_stage_plan(run: RunReference, plans: Sequence[PackPlan], inputs: TrainingParameters) -> str:
    """Keep the plans of all packs of a stage; a reference to its StagePlan.

    Args:
        run: whose folder takes them.
        plans: at least one, in order.
        inputs: what the packs train.
    """
    stage = plans[0].stage
    packs = [store_pack_plan(run, plan) for plan in plans]
    planned = StagePlan(run=run, stage=stage, packs=packs, inputs=inputs)
    return store_result(_folder(run).result(f"{stage}-plan"), planned)


def text_of_plan(plan: PackPlan) -> str:
    """The same text, of a plan that is kept already."""
    return _text(plan.pack, plan.model_dump_json().encode())


def load_pack_plan(run: RunReference, stage: Stage, text: str) -> PackPlan:
    """The plan that a text names.

    Raises:
        StorageError: when it is gone, or another.
    """
    pack, digest = _parts(text)
    return parse_result(PackPlan, _folder(run).pack_plan(stage, pack), digest)


def store_pack_result(run: RunReference, pack: int, result: PackResult) -> str:
    """Keep the results of one pack; their text."""
    return _store(_folder(run).pack_result(result.stage, pack), pack, result)


def finished_packs(stage: StagePlan) -> dict[str, PackResult]:
    """The results of all packs of a stage, by their texts.

    Raises:
        StorageError: when one is missing, damaged, or of another plan.
    """
    return dict(_finished(stage.run, stage.stage, plan) for plan in stage.packs)


def load_pack_results(run: RunReference, stage: Stage, texts: Iterable[str]) -> list[PackResult]:
    """The results that these texts name.

    Raises:
        StorageError: when some are gone, or others.
    """
    folder = _folder(run)
    named = [_parts(text) for text in texts]
    return [parse_result(PackResult, folder.pack_result(stage, pack), digest) for pack, digest in named]


def trials_of(packs: Sequence[PackResult]) -> list[TrialResult]:
    """Every trial of the packs, by number."""
    return sorted((result for pack in packs for result in pack.results), key=lambda result: result.spec.number)


def _folder(run: RunReference) -> RunFolder:
    return Storage(run.storage).run(run.run_name)


def _finished(run: RunReference, stage: Stage, plan: str) -> tuple[str, PackResult]:
    pack, _ = _parts(plan)
    uri = _folder(run).pack_result(stage, pack)
    content = object_store.read_bytes(uri)
    result = parse_content(PackResult, uri, content)
    if result.plan != plan:
        raise StorageError(
            f"{uri!r} is not the result of plan {plan}; expected that of this run's {stage} pack {pack + 1}; run again"
        )
    return _text(pack, content), result


def _store(uri: str, pack: int, content: Artifact) -> str:
    written = content.model_dump_json().encode()
    object_store.write_bytes(uri, written)
    return _text(pack, written)


def _text(pack: int, content: bytes) -> str:
    return f"{pack:03d}-{hashlib.sha256(content).hexdigest()[:DIGITS]}"


def _parts(text: str) -> tuple[int, str]:
    match = TEXT.fullmatch(text)
    assert match, text  # a step before wrote it
    return int(match["pack"]), match["digest"]
