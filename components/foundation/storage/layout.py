"""Where everything lies in a storage."""

import hashlib
from dataclasses import dataclass

from sanefit.components.foundation.storage.object_store import join

SUSPECTED_LABELS = "suspected-labels.csv"
MANIFEST_FILE = "manifest.json"
WITHOUT_LEDGER = 3  # format_version of manifests, and below
IMAGES_FILE = "images.npz"  # the last one to be written into a folder of pixels
WHOLE_WITH = (IMAGES_FILE, "validation.npy")  # the latter of features
SHORT = 16  # of a digest's digits, enough to name a folder
DECODED, FEATURES, RUNS, CHECKS = "decoded", "features", "runs", "checks"
SCRATCH = "scratch"  # in the folder of a run of this machine
# All that is written aside and then renamed, but for MLflow's files, which are its own.
WRITTEN = (DECODED, FEATURES, RUNS, CHECKS, "snapshots", "splits", "trials", "checkpoints", "results", "weights")


def decoded_folder(key: str) -> str:
    """Images decoded in the way that has this key, below the storage."""
    return f"{DECODED}/{key[:SHORT]}"


def name_of_clone(run_name: str, job_id: str) -> str:
    """What a run is called whose name another run has: by its orchestrator's id."""
    return f"{run_name}-{job_id[:8]}"


@dataclass(frozen=True)
class Storage:
    """A local folder or ``s3://`` prefix, which runs share."""

    uri: str

    def run(self, run_name: str) -> "RunFolder":
        """What one run wrote."""
        return RunFolder(join(self.uri, RUNS, run_name))

    def checked(self, run_name: str) -> "RunFolder":
        """What a run of the checks alone wrote."""
        return RunFolder(join(self.uri, CHECKS, run_name))

    @property
    def snapshots(self) -> str:
        """The folder of all snapshots."""
        return join(self.uri, "snapshots")

    def snapshot(self, fingerprint: str) -> str:
        """The folder of a snapshot."""
        return join(self.snapshots, fingerprint[:SHORT])

    @property
    def split_ledgers(self) -> str:
        """The folder of what says which split each image of a data set is in, a folder for each data set."""
        return join(self.uri, "splits")

    def below(self, path: str) -> str:
        """What lies at a path that is relative to the storage."""
        return join(self.uri, path)

    def trial(self, key: str, ending: str) -> str:
        """A file about the trial, or the trials, of this key."""
        return join(self.uri, "trials", key[:2], f"{key}.{ending}")

    def final_checkpoint(self, key: str) -> str:
        """Where the final training of this key goes on."""
        return join(self.uri, "checkpoints", "final", f"{key}.pt")

    def cached_result(self, kind: str, sha256: str, ending: str) -> str:
        """What a cached step found: named by its content, whichever run it was found in."""
        return join(self.uri, "results", kind, f"{sha256}.{ending}")

    def cached_reference(self, kind: str, key: str) -> str:
        """Where the text lies of what a cached step found for the inputs with this key."""
        return join(self.uri, "results", kind, "found", f"{key}.json")

    @property
    def cache_token(self) -> str:
        """A word that lasts as long as the results of cached steps do."""
        return join(self.uri, "results", "token")

    def recommended_weights(self, library: str, network: str) -> str:
        """The weights that a library recommends for one of its networks."""
        return join(self.uri, "weights", f"{library}-{network}.pt")

    def features_of(self, key: str) -> str:
        """The folder of what the frozen part of a network gives out, with this key."""
        return join(self.uri, FEATURES, key)

    def features(self, key: str, split: str) -> str:
        """What the frozen part of a network gives out for the images of a split."""
        return join(self.features_of(key), f"{split}.npy")

    def registration_lock(self, model_name: str) -> str:
        """What a run holds while it compares its version of a model with the champion."""
        return join(self.uri, "locks", f"{hashlib.sha256(model_name.encode()).hexdigest()[:SHORT]}.json")

    @property
    def mlflow_artifacts(self) -> str:
        """Files of MLflow's runs, where MLflow is a file of this machine."""
        return join(self.uri, "mlflow-artifacts")


@dataclass(frozen=True)
class RunFolder:
    """``uri``: of the folder of one run."""

    uri: str

    @property
    def report(self) -> str:
        """The page."""
        return join(self.uri, "report.html")

    @property
    def summary(self) -> str:
        """The short form of the page, for programs."""
        return join(self.uri, "summary.json")

    @property
    def weights(self) -> str:
        """The final model's weights."""
        return join(self.uri, "weights.pt")

    @property
    def suspected_labels(self) -> str:
        """A table of the images whose labels may be wrong, the worst first."""
        return join(self.uri, SUSPECTED_LABELS)

    @property
    def untracked(self) -> str:
        """The folder of results that MLflow has not taken yet."""
        return join(self.uri, "untracked")

    def result(self, name: str) -> str:
        """What a step of this run found."""
        return join(self.uri, "results", f"{name}.json")

    @property
    def registration(self) -> str:
        """What became of its model."""
        return self.result("registration")

    @property
    def steps(self) -> str:
        """The folder of what each step says of itself."""
        return join(self.uri, "steps")

    def step(self, step: str) -> str:
        """What a step says of itself."""
        return join(self.steps, f"{step.replace(' ', '-')}.json")

    @property
    def progress(self) -> str:
        """The folder of how far each pack has come."""
        return join(self.uri, "progress")

    def pack_progress(self, stage: str, pack: int) -> str:
        """How far a pack has come."""
        return join(self.progress, f"{stage}-pack-{pack:03d}.json")

    def pack_plan(self, stage: str, pack: int) -> str:
        """The trials that a pack is to train."""
        return join(self.uri, "trials", f"{stage}-pack-{pack:03d}-plan.json")

    def pack_result(self, stage: str, pack: int) -> str:
        """What a pack's trials gave."""
        return join(self.uri, "trials", f"{stage}-pack-{pack:03d}.json")
