"""Whether a new version becomes champion: what it is compared with, what is proposed, and the alias that it gets."""

from dataclasses import dataclass
from datetime import datetime

from sanefit.components.foundation.schemas.registry import WORN_OUT, RegistrySettings
from sanefit.components.foundation.schemas.runs import CHALLENGER, CHAMPION, Registration, RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import (
    champion_version,
    let_files_model_follow,
    set_alias,
    tag_version,
)
from sanefit.components.foundation.tracking.tags import OUTCOME_TAG
from sanefit.components.model_registry.champion_comparison import TestAnswers, compare_with_champion
from sanefit.components.model_registry.promotion import Candidate, decide
from sanefit.components.model_registry.seen_images import note_look
from sanefit.components.model_registry.settlement import Proposal, Standing, propose, read_proposals, standing_of


@dataclass(frozen=True)
class NewVersion:
    """``score``: the value of ``registry.metric`` on the test split, whole."""

    version: str
    candidate: Candidate
    score: float
    answers: TestAnswers


def give_alias(
    tracking: Client,
    model_name: str,
    new: NewVersion,
    settings: RegistrySettings,
    run: RunReference,
    say: Say,
    now: datetime,
) -> Registration:
    """Compare the new version with the champion, and set its alias; a step that is repeated finds what it proposed."""
    version, model_uri = new.version, f"models:/{model_name}/{new.version}"
    begun = read_proposals(tracking, model_name).get(version)
    if begun is None:
        standing = standing_of(tracking, model_name, run.tracking_run_id, now)
        outcome, promoted = _judge(tracking, model_name, new, standing, settings, say, now)
    else:
        outcome, promoted = begun, True
    champion = champion_version(tracking, model_name)
    if promoted and not (begun and begun.settled):
        champion = propose(tracking, model_name, version, outcome)
    alias, reason = (CHAMPION if champion == version else CHALLENGER), outcome.reason
    if alias == CHALLENGER:
        set_alias(tracking, model_name, CHALLENGER, version)
        let_files_model_follow(tracking, model_name, CHALLENGER)
        if promoted:
            reason = f"version {champion} took over meanwhile, and is at least as good; {reason}"
    say(f"{model_uri} is {alias}: {reason}")
    if outcome.look >= WORN_OUT:
        say(
            f"warning: this test split has compared versions {outcome.look} times, and takes ever more to convince; "
            "renew it: choose another storage, or new data"
        )
    return Registration(
        model_name=model_name,
        model_version=version,
        model_uri=model_uri,
        alias=alias,
        test_accuracy=new.candidate.accuracy,
        champion_version_before=outcome.over or None,
        reason=reason,
        comparison=outcome.comparison,
        look=outcome.look,
    )


def _judge(
    tracking: Client,
    model_name: str,
    new: NewVersion,
    standing: Standing,
    settings: RegistrySettings,
    say: Say,
    now: datetime,
) -> tuple[Proposal, bool]:
    """What is to be proposed, and whether it is."""
    version = new.version
    before = standing.champion if standing.champion != version else ""
    champion = compare_with_champion(tracking, model_name, before or None, new.answers, settings, say)
    look = note_look(tracking, model_name, version, new.answers.digests) if champion and champion.comparison else 0
    promotion = decide(new.candidate, champion, settings, max(look, 1))
    promoted = promotion.promoted and settings.approval == "automatic"
    reason = promotion.reason
    if promotion.promoted and not promoted:
        reason = (
            f"registry.approval=manual: `sanefit registry promote {model_name} {version}` makes it champion; {reason}"
        )
    proposal = Proposal(
        over=before,
        score=new.score,
        past=standing.past,
        reason=reason,
        time=now.isoformat(timespec="seconds"),
        comparison=champion.comparison if champion else None,
        look=look,
    )
    tag_version(tracking, model_name, version, OUTCOME_TAG, proposal.model_copy(update={"past": []}).model_dump_json())
    return proposal, promoted
