"""The record of a run on the cluster, read wherever it can be read from here: its storage, else MLflow."""

import os
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.storage.layout import RunFolder, Storage, name_of_clone
from sanefit.components.foundation.storage.remote_stores import endpoint, is_remote
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.pipeline.kubeflow.runs.run_states import parameters_of

ReadRecord = Callable[[Any], RunRecord]  # takes Kubeflow's run
Tracked = Callable[[str, str], RunRecord]  # takes MLflow's address and the id of Kubeflow's run
CONNECT_SECONDS = 3.0
PORTS = {"http": 80, "https": 443}


@dataclass
class RecordReader:
    """Reads the record of a run, again and again; a place that has never answered is not asked twice.

    ``tracked``: asks MLflow; raises StorageError. ``environment``: may name MLflow's address as seen from here.
    ``refusals``: why a place cannot be read. ``last``: what was read last, and is given while nothing answers.
    """

    tracked: Tracked
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    refusals: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    last: RunRecord = field(default_factory=RunRecord)

    def __call__(self, run: Any) -> RunRecord:
        """The record of a run; empty when it has said nothing yet, or nothing that can be read from here."""
        for place, read in self._places(run):
            if place not in self.refusals and (found := self._ask(place, read)) is not None and found.steps:
                self.last = found
                break
        return self.last

    def hint(self, run: Any) -> str:
        """Why no place can be read, and what to do; empty when one can."""
        places = [place for place, _ in self._places(run)]
        if any(place not in self.refusals for place in places):
            return ""
        tried = "; ".join(f"{place}: {self.refusals[place]}" for place in places)
        address = urllib.parse.urlsplit(str(parameters_of(run).get("tracking_uri", "")))
        return f"neither its storage nor MLflow can be read from here ({tried}){_port_forward(address)}"

    def _ask(self, place: str, read: Callable[[], RunRecord]) -> RunRecord | None:
        try:
            found = read()
        except StorageError as error:
            if place not in self.answered:
                self.refusals[place] = str(error).partition(";")[0]
            return None
        self.answered.add(place)
        return found

    def _places(self, run: Any) -> Iterator[tuple[str, Callable[[], RunRecord]]]:
        for place in places_of(run, self.environment):
            yield place.name, partial(self._read, run, place)

    def _read(self, run: Any, place: "Place") -> RunRecord:
        require_readable(place, self.environment)
        if place.is_mlflow:
            return self.tracked(place.address, str(run.run_id))
        records = (read_run_record(folder) for folder in folders_of(run, place.address))
        return next((record for record in records if record.steps), RunRecord())


@dataclass(frozen=True)
class Place:
    """A storage, or MLflow, where something that a run wrote may be read."""

    address: str
    is_mlflow: bool

    @property
    def name(self) -> str:
        """For the user."""
        return f"MLflow at {_shown(self.address)}" if self.is_mlflow else self.address


def places_of(run: Any, environment: Mapping[str, str]) -> Iterator[Place]:
    """Where what a run wrote may be, the best place first.

    Args:
        run: Kubeflow's.
        environment: may name MLflow's address as seen from here.
    """
    given = parameters_of(run)
    storage, tracking_uri = str(given.get("storage", "")), str(given.get("tracking_uri", ""))
    if storage:
        yield Place(storage, is_mlflow=False)
    for uri in dict.fromkeys([environment.get("MLFLOW_TRACKING_URI", ""), tracking_uri]):
        if uri:
            yield Place(uri, is_mlflow=True)


def name_of_run(run: Any) -> str:
    """What a run was asked to be called."""
    return str(parameters_of(run).get("run_name") or run.display_name)


def folders_of(run: Any, storage: str) -> Iterator[RunFolder]:
    """The folders that a run may have in its storage: a clone of another run has one of its own."""
    asked = name_of_run(run)
    return (Storage(storage).run(name) for name in (name_of_clone(asked, str(run.run_id)), asked))


def require_readable(place: Place, environment: Mapping[str, str]) -> None:
    """Raise StorageError unless there is an answer."""
    require_answer(_endpoint(place.address) if is_remote(place.address) else place.address, environment)


def require_answer(url: str, environment: Mapping[str, str]) -> None:
    """Raise StorageError unless the host of an ``http`` address takes connections: libraries try for minutes."""
    try:
        address = urllib.parse.urlsplit(url)
        if address.scheme not in PORTS:
            return
        host, port = address.hostname or "", address.port or PORTS[address.scheme]
        if len(parts := host.split(".")) > 2 and parts[2] == "svc" and "KUBERNETES_SERVICE_HOST" not in environment:
            raise StorageError(f"{host!r} is a name inside the cluster")
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise StorageError(f"it does not answer: {error}") from None


def _endpoint(uri: str) -> str:
    try:
        return endpoint(uri)
    except ValueError as error:  # of AWS_ENDPOINT_URL
        raise StorageError(f"S3 cannot be asked: {error}") from None


def _shown(uri: str) -> str:
    """An address without what may be secret in it."""
    address = urllib.parse.urlsplit(uri)
    return address.netloc.rpartition("@")[2] or address.scheme


def _port_forward(address: urllib.parse.SplitResult) -> str:
    """How MLflow inside a cluster is reached from outside."""
    service, _, namespace = (address.hostname or "").removesuffix(".cluster.local").removesuffix(".svc").partition(".")
    if not namespace:
        return "; set MLFLOW_TRACKING_URI to an address of MLflow that answers here"
    port = address.port or PORTS.get(address.scheme, 80)
    return (
        f"; kubectl -n {namespace} port-forward svc/{service} {port}, and MLFLOW_TRACKING_URI=http://127.0.0.1:{port}, "
        "let MLflow be read"
    )
