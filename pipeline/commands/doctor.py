"""The command ``sanefit doctor``."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sanefit.components.foundation.errors import RunFailedError
from sanefit.pipeline.commands.cluster import record_reader
from sanefit.pipeline.commands.options import CaCert, Config, Endpoint, Json, Namespace, Set
from sanefit.pipeline.settings.example_configs import DEFAULT_CONFIG

if TYPE_CHECKING:
    from sanefit.pipeline.doctor.findings import Finding
    from sanefit.pipeline.settings.run_config import RunConfig

Size = Annotated[
    str,
    typer.Option(
        metavar="RUN", help="Only what the steps of this run used, beside what they ask for.", show_default=False
    ),
]


def doctor(
    config: Config = DEFAULT_CONFIG,
    set_: Set = None,
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    size: Size = "",
    as_json: Json = False,
) -> None:
    """Say what is reachable, what is missing, and what to do."""
    from sanefit.pipeline.doctor.doctor import examine
    from sanefit.pipeline.settings.run_config import load_config

    loaded = load_config(config, set_ or ())
    findings = []
    for finding in (
        _sizes(loaded, size, endpoint, namespace, ca_cert) if size else examine(loaded, endpoint, namespace, ca_cert)
    ):
        findings.append(finding)
        print(finding.line(), file=sys.stderr if as_json else sys.stdout, flush=True)
    failed = any(finding.state == "failed" for finding in findings)
    if as_json:
        records = [finding.record() for finding in findings]
        print(json.dumps({"status": "failed" if failed else "succeeded", "findings": records}))
    sys.exit(1 if failed else 0)


def _sizes(config: "RunConfig", run: str, endpoint: str, namespace: str, ca_cert: Path | None) -> "Iterable[Finding]":
    from sanefit.pipeline.doctor.sizes import size_findings
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run

    reader = record_reader()
    found = find_run(connect(endpoint, namespace, ca_cert), run)
    findings = list(size_findings(reader(found), config.cluster))
    if not findings:
        why = reader.hint(found) or "its steps have not said what they used"
        raise RunFailedError(f"--size {run}: {why}; expected the record of a run whose steps have ended")
    return findings
