"""Which of several versions that were found better at the same time is champion.

MLflow moves an alias without looking at where it was. So each run writes down that its version is to be champion before
it moves the alias, and looks again afterwards: whoever writes last has seen every proposal there was, and all choose
among them by the same rule. What a killed run left is settled by the next.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field, ValidationError

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.registry import Comparison
from sanefit.components.foundation.schemas.runs import CHAMPION
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import (
    champion_version,
    let_files_model_follow,
    set_alias,
    tag_version,
    versions_of,
)
from sanefit.components.foundation.tracking.runs import run_tags, tag_run
from sanefit.components.foundation.tracking.tags import PROPOSAL_TAG, STANDING_TAG

AT_WORK = timedelta(minutes=10)  # a run moves its alias within seconds of its proposal


class Proposal(Artifact):
    """That a version is to be champion.

    ``over``: the version that it was found better than; empty without one. ``score``: the value of ``registry.metric``
    on its own run's test split. ``past``: as its run saw them (``Standing``). ``settled``: whether its run, or another
    in its place, has looked again after moving the alias. ``reason``, ``time``: why, and when, in UTC. ``comparison``,
    ``look``: what it was found better by.
    """

    over: str
    score: float
    past: list[str] = Field(default=[])
    settled: bool = False
    time: str
    reason: str = ""
    comparison: Comparison | None = None
    look: int = 0


class Standing(Artifact):
    """What a run sees before it compares: first the proposals, then the champion, in this order.

    ``champion``: its version; empty without one. ``past``: proposals that were settled by then, for this run and for
    every one that was still open: whatever they led to is seen in the champion.
    """

    champion: str
    past: list[str] = Field(default=[])

    def before_rivals(self, now: "Standing", proposals: Mapping[str, Proposal]) -> "Standing":
        """What counts for a run that saw this when it began, and sees the other when it registers.

        Runs that ran at the same time are rivals, whichever registered first: each is compared with the champion from
        before, and the best of them stays. A champion that none of them put there is the one to compare with.
        """
        rivals = proposals.keys() - set(self.past)
        return self if now.champion == self.champion or now.champion in rivals else now


def read_standing(tracking: Client, model_name: str, now: datetime) -> Standing:
    """Whatever a run has begun that may have been killed is settled first.

    One that began lately may be at work still, and write its alias again: its proposal stays open, for it or for the
    next run to look at.
    """
    for version, proposal in read_proposals(tracking, model_name).items():
        if not proposal.settled:
            move_alias(tracking, model_name, version, proposal)
            if now - datetime.fromisoformat(proposal.time) > AT_WORK:
                _close(tracking, model_name, version, proposal)
    proposals = read_proposals(tracking, model_name)
    past = [version for version in proposals if _is_seen_in_the_champion(version, proposals)]
    return Standing(champion=champion_version(tracking, model_name) or "", past=past)


def keep_standing(tracking: Client, model_name: str, run_id: str, now: datetime) -> None:
    """Note with a run what it sees when it begins; a step that is repeated leaves that as it was."""
    if STANDING_TAG not in run_tags(tracking, run_id):
        tag_run(tracking, run_id, STANDING_TAG, read_standing(tracking, model_name, now).model_dump_json())


def standing_of(tracking: Client, model_name: str, run_id: str, now: datetime) -> Standing:
    """What a run that registers now is to compare with, and who its rivals are."""
    seen = read_standing(tracking, model_name, now)
    kept = run_tags(tracking, run_id).get(STANDING_TAG)
    begun = Standing.model_validate_json(kept) if kept else seen
    return begun.before_rivals(seen, read_proposals(tracking, model_name))


def read_proposals(tracking: Client, model_name: str) -> dict[str, Proposal]:
    """By version."""
    each = {str(known.version): proposal_in(known.tags, PROPOSAL_TAG) for known in versions_of(tracking, model_name)}
    return {version: proposal for version, proposal in each.items() if proposal is not None}


def proposal_in(tags: Mapping[str, str], tag: str) -> Proposal | None:
    """What a version's tag says; None where there is none, or another program's."""
    try:
        return Proposal.model_validate_json(tags.get(tag, ""))
    except ValidationError:
        return None


def propose(tracking: Client, model_name: str, version: str, proposal: Proposal) -> str:
    """Write down that a version is to be champion, and settle who is; that version."""
    tag_version(tracking, model_name, version, PROPOSAL_TAG, proposal.model_dump_json())
    champion = move_alias(tracking, model_name, version, proposal)
    _close(tracking, model_name, version, proposal)
    return champion


def move_alias(tracking: Client, model_name: str, version: str, proposal: Proposal) -> str:
    """Move the alias to the best of those that were proposed since this one's run looked; until nothing changes.

    Returns:
        The champion's version.
    """
    best = ""
    while True:
        found = best_of(version, proposal, read_proposals(tracking, model_name))
        if found == best and champion_version(tracking, model_name) == best:
            let_files_model_follow(tracking, model_name, CHAMPION)
            return best
        best = found
        set_alias(tracking, model_name, CHAMPION, best)


def close_all(tracking: Client, model_name: str) -> None:
    """Nothing that a run has begun moves the alias any more: a person does."""
    for version, proposal in read_proposals(tracking, model_name).items():
        if not proposal.settled:
            _close(tracking, model_name, version, proposal)


def best_of(version: str, proposal: Proposal, proposals: Mapping[str, Proposal]) -> str:
    """Of a proposal and its rivals, the one with the best score; of equals, the first version.

    Rivals are all proposals but those that were settled when its run looked, and those that a rival was found better
    than: on the images of that rival's run. Where each was found better than another, as after a person promoted one in
    between, the score decides.
    """
    rivals = {other: rival for other, rival in proposals.items() if other not in proposal.past} | {version: proposal}
    beaten = {rival.over for rival in rivals.values()}
    return min(rivals.keys() - beaten or rivals, key=lambda rival: (-rivals[rival].score, int(rival)))


def _is_seen_in_the_champion(version: str, proposals: Mapping[str, Proposal]) -> bool:
    """Not while a run that has not seen it is open: that may have put its own version in its place a moment ago."""
    still_open = [proposal for proposal in proposals.values() if not proposal.settled]
    return proposals[version].settled and all(version in proposal.past for proposal in still_open)


def _close(tracking: Client, model_name: str, version: str, proposal: Proposal) -> None:
    done = proposal.model_copy(update={"settled": True})
    tag_version(tracking, model_name, version, PROPOSAL_TAG, done.model_dump_json())
