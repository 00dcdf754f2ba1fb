"""The paths of Kubeflow Pipelines' API that the double serves."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api_schema import SchemaError, check
from kubeflow_store import RefusedError, Store

API = "/apis/v2beta1"


def _runs(store: Store, query: dict[str, str]) -> dict[str, Any]:
    store.require_namespace(query.get("namespace") or query.get("experiment_id"))
    items = [store.shown(run) for run in store.runs.values()]
    if wanted := query.get("experiment_id"):
        items = [run for run in items if run["experiment_id"] == wanted]
    return store.page("runs", items, query)


@dataclass(frozen=True)
class Asked:
    """What a handler sees of a request; ``at`` holds the parameters in the path."""

    at: dict[str, str]
    query: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Route:
    """A path of the document with its query parameters and the type of its body."""

    method: str
    path: str
    handle: Callable[[Store, Asked], dict[str, Any]]
    query: tuple[str, ...] = ()
    body: str = ""

    def match(self, method: str, path: str) -> dict[str, str] | None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", self.path)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found and method == self.method else None

    def check(self, query: dict[str, str], body: Any) -> None:
        """Raise unless a request fits the document."""
        if unknown := query.keys() - {*self.query}:
            raise SchemaError(f"unknown query parameter {unknown.pop()!r}")
        if self.body == "multipart":
            if not isinstance(body, bytes):
                raise RefusedError(400, -1, "Failed to create a pipeline version")
        elif self.body:
            check(body, self.body)
        elif body is not None:
            raise SchemaError("a body is not expected")


LIST = ("page_token", "page_size", "sort_by", "filter")
ROUTES = [
    Route("GET", f"{API}/healthz", lambda store, _: {"multi_user": store.namespaces, "tag_name": store.version}),
    Route(
        "GET",
        f"{API}/pipelines/names/{{name}}",
        lambda store, asked: store.pipeline_named(asked.at["name"], asked.query.get("namespace")),
        ("namespace",),
    ),
    Route("POST", f"{API}/pipelines", lambda store, asked: store.create_pipeline(asked.body), (), "V2beta1Pipeline"),
    Route(
        "POST",
        f"{API}/pipelines/upload_version",
        lambda store, asked: store.upload_version(asked.body, asked.query["name"], asked.query["pipelineid"]),
        ("name", "display_name", "pipelineid", "description", "tags"),
        "multipart",
    ),
    Route(
        "GET",
        f"{API}/pipelines/{{pipeline_id}}/versions",
        lambda store, asked: store.page("pipeline_versions", [*store.versions.values()], asked.query),
        LIST,
    ),
    Route(
        "GET",
        f"{API}/pipelines/{{pipeline_id}}/versions/{{pipeline_version_id}}",
        lambda store, asked: store.versions[asked.at["pipeline_version_id"]],
    ),
    Route(
        "GET",
        f"{API}/experiments",
        lambda store, asked: (
            store.require_namespace(asked.query.get("namespace"))
            or store.page("experiments", [*store.experiments.values()], asked.query)
        ),
        (*LIST, "namespace"),
    ),
    Route(
        "POST",
        f"{API}/experiments",
        lambda store, asked: store.create_experiment(asked.body),
        (),
        "V2beta1Experiment",
    ),
    Route("POST", f"{API}/runs", lambda store, asked: store.create_run(asked.body), ("experiment_id",), "V2beta1Run"),
    Route("GET", f"{API}/runs", lambda store, asked: _runs(store, asked.query), (*LIST, "namespace", "experiment_id")),
    Route(
        "GET",
        f"{API}/runs/{{run_id}}",
        lambda store, asked: store.look_at(asked.at["run_id"]),
        ("experiment_id",),
    ),
    Route("POST", f"{API}/runs/{{run_id}}:terminate", lambda store, asked: store.terminate_run(asked.at["run_id"])),
    Route("POST", f"{API}/runs/{{run_id}}:retry", lambda store, asked: store.retry_run(asked.at["run_id"])),
    Route("DELETE", f"{API}/runs/{{run_id}}", lambda store, asked: store.delete_run(asked.at["run_id"])),
    Route(
        "POST",
        f"{API}/recurringruns",
        lambda store, asked: store.create_schedule(asked.body),
        (),
        "V2beta1RecurringRun",
    ),
    Route(
        "GET",
        f"{API}/recurringruns",
        lambda store, asked: (
            store.require_namespace(asked.query.get("namespace") or asked.query.get("experiment_id"))
            or store.page("recurringRuns", [*store.schedules.values()], asked.query)
        ),
        (*LIST, "namespace", "experiment_id"),
    ),
    Route(
        "GET",
        f"{API}/recurringruns/{{recurring_run_id}}",
        lambda store, asked: store.schedule(asked.at["recurring_run_id"]),
    ),
    Route(
        "POST",
        f"{API}/recurringruns/{{recurring_run_id}}:enable",
        lambda store, asked: store.switch_schedule(asked.at["recurring_run_id"], "ENABLED"),
    ),
    Route(
        "POST",
        f"{API}/recurringruns/{{recurring_run_id}}:disable",
        lambda store, asked: store.switch_schedule(asked.at["recurring_run_id"], "DISABLED"),
    ),
    Route(
        "DELETE",
        f"{API}/recurringruns/{{recurring_run_id}}",
        lambda store, asked: store.delete_schedule(asked.at["recurring_run_id"]),
        ("propagation_policy",),
    ),
]
