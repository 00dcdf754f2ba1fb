"""Step 1, as a task runs it: texts in, a text out."""


def snapshot(data: str, storage: str) -> str:
    """Take a snapshot of the images; returns a DatasetReference."""
    from sanefit.components.dataset_snapshot.snapshot import take_snapshot
    from sanefit.components.foundation.schemas.data_settings import DataSettings
    from sanefit.components.foundation.step_lines.step_log import running_step

    with running_step("snapshot") as say:
        return take_snapshot(DataSettings.model_validate_json(data), storage, say).model_dump_json()
