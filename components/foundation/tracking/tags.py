"""The tags of runs and model versions. Needs no MLflow."""

RUN_TAG = "sanefit.run"
JOB_TAG = "sanefit.job"
TRIAL_TAG = "sanefit.trial"
STAGE_TAG = "sanefit.stage"
STATUS_TAG = "sanefit.status"
BEST_EPOCH_TAG = "sanefit.best_epoch"
FINGERPRINT_TAG = "sanefit.fingerprint"
TEST_ACCURACY_TAG = "test_accuracy"
IDENTITY_TAG = "sanefit.identity"
PLUGINS_RUN_TAG = "sanefit.kubeflow_mlflow_run"  # that Kubeflow's own plugin opened for the same pipeline run
FAILURE_TAG = "sanefit.failure"
STEP_TAGS = "sanefit.step."  # and a step's name: its record
PROGRESS_TAGS = "sanefit.progress."  # and the name of a pack's step: how far it has come
REGISTRATION_TAG = "sanefit.registration"
PROPOSAL_TAG = "sanefit.proposal"
OUTCOME_TAG = "sanefit.outcome"  # in the form of a proposal: what a version was compared by, promoted or not
NOTIFIED_TAG = "sanefit.notified"  # when others were told that the version is champion
LOOK_TAG = "sanefit.look"
PLACED_TAG = "sanefit.placed"
STANDING_TAG = "sanefit.standing"
FILES_TAG = "sanefit.files_version"  # the version of NAME-files that belongs to one of NAME
ONNX_TAG = "sanefit.onnx"  # the path of the ONNX file among those of the version's run
HARDWARE_TAG = "sanefit.hardware"  # that the final training ran on
PARENT_TAG = "mlflow.parentRunId"
