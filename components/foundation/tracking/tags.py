"""The tags of runs and model versions. Needs no MLflow."""

RUN_TAG = "sanefit.run"
JOB_TAG = "sanefit.job"
TRIAL_TAG = "sanefit.trial"
STAGE_TAG = "sanefit.stage"
STATUS_TAG = "sanefit.status"
BEST_EPOCH_TAG = "sanefit.best_epoch"
FINGERPRINT_TAG = "sanefit.fingerprint"
IDENTITY_TAG = "sanefit.identity"
FAILURE_TAG = "sanefit.failure"
STEP_TAGS = "sanefit.step."  # and a step's name: its record
PROGRESS_TAGS = "sanefit.progress."  # and the name of a pack's step: how far it has come
REGISTRATION_TAG = "sanefit.registration"
PROPOSAL_TAG = "sanefit.proposal"
LOOK_TAG = "sanefit.look"
PLACED_TAG = "sanefit.placed"
STANDING_TAG = "sanefit.standing"
FILES_TAG = "sanefit.files_version"  # the version of NAME-files that belongs to one of NAME
PARENT_TAG = "mlflow.parentRunId"
