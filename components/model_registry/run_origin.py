"""Whether a run could give anything that was not trained before."""

from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.runs import NEWS, NOTHING_NEW, RunReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage, name_of_clone
from sanefit.components.foundation.tracking.finished_runs import finished_run_of, last_finished_run


def compare(identity: TrainingIdentity, model_name: str, tracking_uri: str, say: Say) -> str:
    """``NOTHING_NEW`` when a run of this model has finished with the same identity, whichever alias its model took.

    Otherwise ``NEWS``.

    Args:
        identity: of this run.
        model_name: also the experiment's name.
        tracking_uri: of MLflow.
        say: prints a line; of news, what differs from the last run that finished.
    """
    if (same := finished_run_of(tracking_uri, model_name, identity.digest)) is not None:
        gave = f", which gave version {same.version}," if same.version else ""
        say(f"{NOTHING_NEW}: run {same.name!r}{gave} finished with the same {', '.join(identity.parts)}")
        return NOTHING_NEW
    last = last_finished_run(tracking_uri, model_name)
    if last is None:
        say(f"{NEWS}: no run of this model has finished")
        return NEWS
    names = {**identity.parts, **last.parts}
    changed = [name for name in names if identity.parts.get(name) != last.parts.get(name)]
    say(f"{NEWS} since run {last.name!r}: {', '.join(changed)}")
    return NEWS


def unopened_run(answer: str, run_name: str, job_id: str, storage: str, tracking_uri: str) -> RunReference | None:
    """Where a run keeps its record that ends before it is opened, for want of news; None where there are some.

    Args:
        answer: of ``compare``.
        run_name: of the run; a clone of a run that kept a record has a folder of its own.
        job_id: of the orchestrator's run.
        storage, tracking_uri: as for ``open_tracking_run``.
    """
    if answer == NEWS:
        return None
    taken = job_id and object_store.list_files(Storage(storage).run(run_name).steps)
    name = name_of_clone(run_name, job_id) if taken else run_name
    return RunReference(run_name=name, storage=storage, tracking_uri=tracking_uri, tracking_run_id="")
