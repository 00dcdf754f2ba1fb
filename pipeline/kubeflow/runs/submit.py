"""Start one run on the cluster.

With an idempotency key the run's name follows from the key, so that a second submit finds the
first one's run instead of starting another.
"""

import re
import time
from dataclasses import dataclass
from typing import Any

from kfp_server_api import (  # type: ignore[import-untyped]
    PipelineServiceApi,
    RunServiceApi,
    V2beta1Run,
    V2beta1RuntimeConfig,
)

from sanefit.components.foundation.clock import Sleep
from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import create_run, runs_named
from sanefit.pipeline.kubeflow.runs.pipeline_version import (
    SECONDS_UNTIL_ALL_ARE_SEEN,
    Uploaded,
    found_or_created,
    upload,
)
from sanefit.pipeline.settings.run_config import RunConfig

KEY = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Submitted:
    """A run on the cluster; ``already``: an earlier submit with the same key had started it."""

    run_id: str
    run_name: str
    version_name: str
    link: str
    already: bool


def submit(
    config: RunConfig,
    kubeflow: Kubeflow,
    run_name: str,
    key: str | None = None,
    sleep: Sleep = time.sleep,
) -> Submitted:
    """Upload what is missing and start a run.

    Args:
        config: the configuration.
        kubeflow: the connection.
        run_name: unique, for a run without a key.
        key: of idempotency; None for a run of its own.
        sleep: waits seconds.

    Raises:
        SettingsError: when the key cannot be used, or was used for something else.
        KubeflowError: from the API.
    """
    if key is not None:
        run_name = keyed_name(config.name, key)
    uploaded = upload(config, kubeflow)
    wanted = _wanted(config, uploaded, run_name)
    created: list[V2beta1Run] = []

    def find() -> V2beta1Run | None:
        return _first(runs_named(kubeflow, run_name), uploaded.pipeline_id)

    def create() -> V2beta1Run:
        created.append(create_run(kubeflow, wanted))
        return created[0]

    run = found_or_created(find, create)
    if created and key is not None:
        sleep(SECONDS_UNTIL_ALL_ARE_SEEN)
        run = _settle(kubeflow, run, find() or run)
    already = not created or run.run_id != created[0].run_id
    if already:
        _require_same(kubeflow, run, wanted, uploaded, key)
    return Submitted(str(run.run_id), run_name, uploaded.version_name, kubeflow.link(run.run_id), already)


def keyed_name(name: str, key: str) -> str:
    """The name of the run that a key stands for.

    Raises:
        SettingsError: when the key is no DNS label.
    """
    if not KEY.fullmatch(key):
        raise SettingsError(
            f"--idempotency-key {key!r}: expected 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends, as "
            "in nightly-2026-11-23; correct it"
        )
    return f"{name}-{key}"


def _wanted(config: RunConfig, uploaded: Uploaded, run_name: str) -> V2beta1Run:
    return V2beta1Run(
        display_name=run_name,
        experiment_id=uploaded.experiment_id,
        pipeline_version_reference=uploaded.reference(),
        runtime_config=V2beta1RuntimeConfig(parameters={**uploaded.parameters, "run_name": run_name}),
        service_account=config.cluster.service_account,
    )


def _first(runs: list[V2beta1Run], pipeline_id: str) -> V2beta1Run | None:
    """The earliest of our pipeline's runs; every submit with the same key chooses the same."""
    ours = [run for run in runs if _reference(run) and _reference(run).pipeline_id == pipeline_id]
    return min(ours, key=lambda run: (run.created_at, run.run_id), default=None)


def _settle(kubeflow: Kubeflow, created: V2beta1Run, first: V2beta1Run) -> V2beta1Run:
    """Take our run back when another submit with the same key was faster."""
    if first.run_id != created.run_id:
        kubeflow.call("delete runs", RunServiceApi(kubeflow.client).run_service_delete_run, created.run_id)
    return first


def _require_same(kubeflow: Kubeflow, run: V2beta1Run, wanted: V2beta1Run, uploaded: Uploaded, key: str | None) -> None:
    """Raise SettingsError when an earlier run of this name is another one."""
    differences = []
    version_id = _reference(run).pipeline_version_id
    if version_id != uploaded.version_id:
        differences.append(
            f"pipeline version {_version_name(kubeflow, uploaded, version_id)}, now {uploaded.version_name}"
        )
    theirs, ours = _parameters(run), wanted.runtime_config.parameters
    differences += [
        f"{name} {theirs.get(name)!r}, now {ours.get(name)!r}"
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    ]
    if run.service_account and run.service_account != wanted.service_account:
        differences.append(f"service account {run.service_account!r}, now {wanted.service_account!r}")
    if differences:
        raise SettingsError(
            f"--idempotency-key {key!r}: run {run.display_name!r} was submitted with {'; '.join(differences)}; "
            "expected the same; choose another key"
        )


def _version_name(kubeflow: Kubeflow, uploaded: Uploaded, version_id: str) -> str:
    method = PipelineServiceApi(kubeflow.client).pipeline_service_get_pipeline_version
    version = kubeflow.call("get pipelines", method, uploaded.pipeline_id, version_id)
    return str(version.name or version.display_name)


def _reference(run: V2beta1Run) -> Any:
    return run.pipeline_version_reference


def _parameters(run: V2beta1Run) -> dict[str, Any]:
    return (run.runtime_config.parameters if run.runtime_config else None) or {}
