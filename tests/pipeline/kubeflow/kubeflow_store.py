"""What a Kubeflow Pipelines server remembers, and its rules for it."""

import base64
import json
import urllib.parse
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from api_schema import check
from workflow_tasks import Node, Progress, nodes_of, task_details, workflow_manifest

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
NEVER = "1970-01-01T00:00:00Z"
FILTERED = {
    "runs": ("run_id", "display_name", "created_at", "state", "experiment_id", "recurring_run_id", "storage_state"),
    "recurringRuns": ("recurring_run_id", "display_name", "created_at", "updated_at", "description"),
    "experiments": ("experiment_id", "display_name", "created_at", "namespace"),
    "pipeline_versions": ("pipeline_version_id", "name", "display_name", "created_at"),
}
DEFAULT_PAGE, LARGEST_PAGE = 20, 200


class RefusedError(Exception):
    """An answer with a status of failure and a code of gRPC."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Look:
    """What a run is like when it is looked at: so many container tasks done, one failed (the end of its path).

    ``messages``: Argo's, by the end of a path. ``listed``: where the list of tasks is frozen, so many are done in it.
    ``tasks``: the list itself; Argo's workflow is not to be had then. ``message``: the workflow's. ``skipped``: what
    stands under a condition never runs.
    """

    state: str | None
    done: int = 0
    failed: str = ""
    tasks: list[dict[str, Any]] | None = None
    error: dict[str, Any] | None = None
    gone: bool = False
    messages: dict[str, str] = field(default_factory=dict)
    listed: int | None = None
    message: str = ""
    skipped: bool = False

    def progress(self) -> Progress:
        """As Argo knows it."""
        return Progress(self.done, self.failed, self.messages)

    def listed_progress(self) -> Progress:
        """As Kubeflow's tasks tell it."""
        return self.progress() if self.listed is None else Progress(self.listed)


@dataclass
class Store:
    """``script``: what the next runs go through, a look for each time that one is fetched.

    ``tried``: Argo tries every node again, as Kubeflow 2.17 installs it. ``older_api``: v1beta1 is there.
    """

    namespaces: bool = False
    version: str = ""
    script: list[Look] = field(default_factory=lambda: [Look("RUNNING", 0), Look("SUCCEEDED", 99)])
    tried: bool = True
    older_api: bool = True
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    scripts: dict[str, list[Look]] = field(default_factory=dict)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    now: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def tick(self) -> str:
        """A second passes; what the time is then."""
        self.now += timedelta(seconds=1)
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def require_namespace(self, namespace: str | None) -> None:
        if self.namespaces and not namespace:
            raise RefusedError(400, 3, "Namespace is empty in multi-user mode")

    # pipelines, versions, experiments

    def create_pipeline(self, body: dict[str, Any]) -> dict[str, Any]:
        self.require_namespace(body.get("namespace"))
        name = body.get("name") or body.get("display_name")
        if any(known["name"] == name for known in self.pipelines.values()):
            raise RefusedError(409, 6, f"The name {name} already exist. Please specify a new name")
        made = {**body, "name": name, "pipeline_id": str(uuid.uuid4()), "created_at": self.tick()}
        self.pipelines[made["pipeline_id"]] = made
        return made

    def pipeline_named(self, name: str, namespace: str | None) -> dict[str, Any]:
        self.require_namespace(namespace)
        return _found([known for known in self.pipelines.values() if known["name"] == name], "Pipeline", name)

    def upload_version(self, content: bytes, name: str, pipeline_id: str) -> dict[str, Any]:
        if pipeline_id not in self.pipelines:
            raise RefusedError(400, -1, "Failed to create a pipeline version")
        documents = [part for part in yaml.safe_load_all(content) if part]
        if not documents or "root" not in documents[0]:
            raise RefusedError(400, -1, "Failed to create a pipeline version")
        if any((known["pipeline_id"], known["name"]) == (pipeline_id, name) for known in self.versions.values()):
            raise RefusedError(409, -1, "Failed to create a pipeline version")
        made = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": str(uuid.uuid4()),
            "name": name,
            "display_name": name,
            "created_at": self.tick(),
        }
        self.versions[made["pipeline_version_id"]] = made
        platforms = documents[1]["platforms"] if len(documents) > 1 else {}
        executors = platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
        self.specs[made["pipeline_version_id"]] = {**documents[0], "kubernetes": executors}
        return made

    def create_experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        self.require_namespace(body.get("namespace"))
        if any(known["display_name"] == body["display_name"] for known in self.experiments.values()):
            raise RefusedError(409, 6, f"The name {body['display_name']} already exist. Please specify a new name")
        made = {**body, "experiment_id": str(uuid.uuid4()), "created_at": self.tick()}
        self.experiments[made["experiment_id"]] = made
        return made

    # runs

    def create_run(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("display_name"):
            raise RefusedError(400, 3, "The run name is empty. Please specify a valid name")
        spec = self.require_source(body)
        defined = spec["root"]["inputDefinitions"]["parameters"]
        given = body.get("runtime_config", {}).get("parameters", {})
        missing = [name for name, one in defined.items() if not one.get("isOptional") and "defaultValue" not in one]
        if unknown := [*given.keys() - defined.keys(), *(name for name in missing if name not in given)]:
            raise RefusedError(400, 3, f"parameter {unknown[0]} is not right")
        made = {
            **body,
            "run_id": str(uuid.uuid4()),
            "created_at": self.tick(),
            "finished_at": NEVER,
            "state": "PENDING",
            "state_history": [],
            "storage_state": "AVAILABLE",
        }
        self.note_state(made)
        self.runs[made["run_id"]] = made
        self.scripts[made["run_id"]] = [*self.script]
        return made

    def require_source(self, body: dict[str, Any]) -> dict[str, Any]:
        """The compiled pipeline that a run or a recurring run names."""
        reference = body.get("pipeline_version_reference", {})
        version = self.versions.get(reference.get("pipeline_version_id"))
        if version is None or version["pipeline_id"] != reference.get("pipeline_id"):
            raise RefusedError(400, 3, "Failed to fetch a pipeline version")
        if body.get("experiment_id") not in self.experiments:
            raise RefusedError(400, 3, "Failed to fetch namespace for experiment")
        return self.specs[version["pipeline_version_id"]]

    def look_at(self, run_id: str) -> dict[str, Any]:
        """Fetch a run; it then goes on to its next look."""
        run = _found([self.runs[run_id]] if run_id in self.runs else [], "Run", run_id)
        script = self.scripts[run_id]
        if run["state"] in ("CANCELING", *ENDED) and not script:
            return self.shown(run)
        if script:
            look = script.pop(0)
            if look.gone:
                del self.runs[run_id]
                raise RefusedError(404, 5, f"Run {run_id} not found")
            run |= {"state": look.state, "look": look}
            self.note_state(run)
            run |= {"finished_at": self.tick()} if look.state in ENDED else {}
            run |= {"error": look.error} if look.error else {}
        return self.shown(run)

    def shown(self, run: dict[str, Any]) -> dict[str, Any]:
        """As the API shows a run, with its tasks."""
        look: Look | None = run.get("look")
        shown = {key: value for key, value in run.items() if key not in ("look", "deadline") and value is not None}
        if look is None:
            return shown
        tasks = look.tasks
        if tasks is None:
            tasks = task_details(self.nodes(run), run["run_id"], look.listed_progress())
        return shown | {"run_details": {"task_details": tasks}}

    def note_state(self, run: dict[str, Any]) -> None:
        """The server keeps every state that differs from the one before."""
        history = run["state_history"]
        if run["state"] and (not history or history[-1]["state"] != run["state"]):
            history.append({"update_time": self.tick(), "state": run["state"]})

    def nodes(self, run: dict[str, Any]) -> list[Node]:
        """Argo's nodes of a run."""
        version = run["pipeline_version_reference"]["pipeline_version_id"]
        nodes = nodes_of(self.specs[version], f"sanefit-training-{run['run_id'][:5]}", self.tried)
        look: Look | None = run.get("look")
        return [node for node in nodes if not (look and look.skipped and ".condition-" in node.plain)]

    def older_run(self, run_id: str) -> dict[str, Any]:
        """The run as API v1beta1 gives it, with Argo's workflow as it was reported last."""
        run = _found([self.runs[run_id]] if run_id in self.runs else [], "Run", run_id)
        look: Look | None = run.get("look")
        if look is None or look.tasks is not None:
            return {"run": {"id": run_id}, "pipeline_runtime": {}}
        manifest = workflow_manifest(
            self.nodes(run),
            look.progress(),
            deadline=run.get("deadline"),
            message=look.message,
            compressed=look.listed is not None,
        )
        return {"run": {"id": run_id}, "pipeline_runtime": {"workflow_manifest": json.dumps(manifest)}}

    def terminate_run(self, run_id: str) -> dict[str, Any]:
        run = _found([self.runs[run_id]] if run_id in self.runs else [], "Run", run_id)
        if run["state"] in ("CANCELING", *ENDED):
            raise RefusedError(400, 3, f"Failed to terminate a run {run_id}. Row not found")
        run |= {"state": "CANCELING", "deadline": 0}
        exceeded = "retry exceeded workflow deadline 2026-11-23 12:00:00 +0000 UTC"
        self.scripts[run_id] = [Look("CANCELING"), Look("FAILED", 0, "prepare", message=exceeded)]
        return {}

    def retry_run(self, run_id: str) -> dict[str, Any]:
        run = _found([self.runs[run_id]] if run_id in self.runs else [], "Run", run_id)
        if run["state"] not in ("FAILED", "CANCELED"):
            raise RefusedError(400, 3, "Workflow must be Failed/Error to retry")
        run |= {"state": "PENDING", "finished_at": NEVER, "deadline": None}
        self.note_state(run)
        self.scripts[run_id] = [*self.script]
        return {}

    def delete_run(self, run_id: str) -> dict[str, Any]:
        _found([self.runs[run_id]] if run_id in self.runs else [], "Run", run_id)
        if self.runs[run_id]["state"] not in ENDED:
            self.killed.append(run_id)
        del self.runs[run_id]
        return {}

    # recurring runs

    def create_schedule(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("display_name"):
            raise RefusedError(400, 3, "Recurring run name is empty. Please specify a valid name")
        self.require_source(body)
        if not 1 <= int(body.get("max_concurrency", 0)) <= 10:
            raise RefusedError(400, 3, "Max concurrency of a recurring run must be at least 1 and at most 10")
        if len(body["trigger"]["cron_schedule"]["cron"].split()) not in (5, 6):
            raise RefusedError(400, 3, "Schedule cron is not a supported format")
        now = self.tick()
        made = {**body, "recurring_run_id": str(uuid.uuid4()), "created_at": now, "updated_at": now}
        made["status"] = "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED"
        self.schedules[made["recurring_run_id"]] = made
        return made

    def switch_schedule(self, schedule_id: str, status: str) -> dict[str, Any]:
        schedule = self.schedule(schedule_id)
        schedule |= {"status": status, "mode": status.removesuffix("D"), "updated_at": self.tick()}
        return {}

    def delete_schedule(self, schedule_id: str) -> dict[str, Any]:
        """Its runs in progress belong to it: Kubernetes deletes them too, on servers before 2.16 whatever is asked."""
        self.schedule(schedule_id)
        for run in self.runs.values():
            if run.get("recurring_run_id") == schedule_id and run["state"] not in ENDED:
                self.killed.append(run["run_id"])
                run["state"] = "FAILED"
        del self.schedules[schedule_id]
        return {}

    def schedule(self, schedule_id: str) -> dict[str, Any]:
        return _found([self.schedules[schedule_id]] if schedule_id in self.schedules else [], "Job", schedule_id)

    def trigger(self, schedule_id: str) -> dict[str, Any] | None:
        """What the controller does when a time of a schedule has come."""
        schedule = self.schedule(schedule_id)
        active = [
            run
            for run in self.runs.values()
            if run.get("recurring_run_id") == schedule_id and run["state"] not in ENDED
        ]
        if schedule["status"] != "ENABLED" or len(active) >= int(schedule["max_concurrency"]):
            return None
        return self.start_run_of(schedule_id)

    def start_run_of(self, schedule_id: str) -> dict[str, Any]:
        """A run that belongs to a schedule, whether it is enabled or not."""
        schedule = self.schedule(schedule_id)
        copied = ("experiment_id", "pipeline_version_reference", "runtime_config", "service_account")
        name = f"{schedule['display_name']}-{len(self.runs)}-1234"
        body = {key: schedule[key] for key in copied} | {"display_name": name, "recurring_run_id": schedule_id}
        return self.create_run(body)

    # lists

    def page(self, kind: str, items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        """One page of a list, filtered and sorted."""
        asked = {key: query.get(key, "") for key in ("filter", "sort_by")}
        start = 0
        if token := query.get("page_token"):
            start, theirs = json.loads(base64.b64decode(token))
            if any(asked.values()) and theirs != asked:
                raise RefusedError(400, 3, "page token does not match the supplied sort by and/or filtering criteria")
            asked = theirs
        size = min(int(query.get("page_size") or DEFAULT_PAGE), LARGEST_PAGE) or DEFAULT_PAGE
        matching = [item for item in _sorted(items, kind, asked["sort_by"]) if _matches(item, kind, asked["filter"])]
        end = start + size
        following = base64.b64encode(json.dumps([end, asked]).encode()).decode()
        more = {"next_page_token": following} if end < len(matching) else {}
        return {kind: matching[start:end], "total_size": len(matching), **more}


def _sorted(items: list[dict[str, Any]], kind: str, sort_by: str) -> list[dict[str, Any]]:
    name, _, order = (sort_by or "created_at").partition(" ")
    if name not in FILTERED[kind] or order not in ("", "asc", "desc"):
        raise RefusedError(400, 3, f"Invalid sorting field: {sort_by!r}")
    return sorted(items, key=lambda item: item.get(name, ""), reverse=order == "desc")


def _matches(item: dict[str, Any], kind: str, text: str) -> bool:
    if not text:
        return True
    wanted = json.loads(urllib.parse.unquote_plus(text))  # the server decodes it once more
    check(wanted, "V2beta1Filter", "filter")
    for predicate in wanted["predicates"]:
        if predicate["key"] not in FILTERED[kind]:
            raise RefusedError(400, 3, f"no support for filtering on unrecognized field {predicate['key']!r}")
        # MySQL, the server's usual database, compares without regard to case.
        equal = str(item.get(predicate["key"])).casefold() == predicate["string_value"].casefold()
        if equal != {"EQUALS": True, "NOT_EQUALS": False}[predicate["operation"]]:
            return False
    return True


def _found(items: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    if not items:
        raise RefusedError(404, 5, f"{kind} {name} not found")
    return items[0]
