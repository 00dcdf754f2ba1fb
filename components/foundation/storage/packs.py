"""Plans and results of packs in a run's folder, and the short texts that name them: a list of all is one parameter."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import PackPlan, PackResult, Stage, TrialResult
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import RunFolder, Storage
from sanefit.components.foundation.storage.results import parse_result

DIGITS = 12  # of the content's digest: hundreds of texts go into one parameter
TEXT = re.compile(rf"(?P<pack>\d+)-(?P<digest>[0-9a-f]{{{DIGITS}}})")


def store_pack_plan(run: RunReference, plan: PackPlan) -> str:
    """Keep the plan of one pack; its text, as in ``007-1f3a9c2b4d5e``."""
    return _store(_folder(run).pack_plan(plan.stage, plan.pack), plan.pack, plan)


def pack_number(text: str) -> int:
    """The number of the pack that a text is of."""
    return _parts(text)[0]


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


def _store(uri: str, pack: int, content: Artifact) -> str:
    written = content.model_dump_json().encode()
    object_store.write_bytes(uri, written)
    return f"{pack:03d}-{hashlib.sha256(written).hexdigest()[:DIGITS]}"


def _parts(text: str) -> tuple[int, str]:
    match = TEXT.fullmatch(text)
    assert match, text  # a step before wrote it
    return int(match["pack"]), match["digest"]
