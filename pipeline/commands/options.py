"""Options and arguments that several commands take."""

import os
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(help="A YAML file.", show_default="digits")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value; repeatable.")]
Workdir = Annotated[Path, typer.Option(help="Holds runs, snapshots and the local MLflow store.")]
DEFAULT_WORKDIR = Path("sanefit-runs")
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")]

Endpoint = Annotated[
    str,
    typer.Option(
        envvar="KFP_ENDPOINT",
        metavar="URL",
        help="Of the Kubeflow Pipelines API; by default the pod's own cluster, or the kubeconfig's.",
        show_default=False,
    ),
]
Namespace = Annotated[
    str, typer.Option(envvar="KFP_NAMESPACE", help="On a Kubeflow with several users.", show_default=False)
]
CaCert = Annotated[
    Path | None,
    typer.Option(envvar="KFP_CA_CERT", help="Certificates that sign the endpoint's; a PEM file.", show_default=False),
]


def tracking_uri_of(workdir: Path) -> str:
    """``MLFLOW_TRACKING_URI``, else the store in the work directory, an absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workdir / 'mlflow.db'}"
