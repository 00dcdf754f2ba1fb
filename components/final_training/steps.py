"""Step 5, as a task runs it: texts in, a text out."""

from collections.abc import Callable


def final_training(inputs: str, final: str, ranking: str, run: str, log_metric: Callable[[str, float], None]) -> str:
    """Train the best setting and test it; returns a reference to a TrainedModel."""
    from sanefit.components.final_training.final_training import train_final
    from sanefit.components.final_training.member_runs import visible_workers
    from sanefit.components.foundation.machine.termination import is_asked_to_stop, listening_for_sigterm
    from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
    from sanefit.components.foundation.schemas.runs import RunReference
    from sanefit.components.foundation.schemas.search import Ranking
    from sanefit.components.foundation.schemas.training import TrainingParameters
    from sanefit.components.foundation.step_lines.step_log import running_step
    from sanefit.components.foundation.storage.layout import Storage
    from sanefit.components.foundation.storage.results import load_result, store_result
    from sanefit.components.foundation.training.checkpoints.checkpoint_pace import Interruptions
    from sanefit.components.foundation.training.inputs import read_training_inputs

    with running_step("train", run) as say, listening_for_sigterm():
        from sanefit.components.foundation.tracking.run_record import mirrored_step

        parent = RunReference.model_validate_json(run)
        with mirrored_step(parent, "train"):
            trained = train_final(
                read_training_inputs(TrainingParameters.model_validate_json(inputs)),
                FinalTrainingSettings.model_validate_json(final),
                load_result(Ranking, ranking),
                parent,
                say=say,
                workers=visible_workers(),
                interruptions=Interruptions(stops=is_asked_to_stop),
            )
        log_metric("validation_accuracy", trained.validation_accuracy)
        log_metric("test_accuracy", trained.test_accuracy)
        return store_result(Storage(parent.storage).run(parent.run_name).result("trained-model"), trained)
