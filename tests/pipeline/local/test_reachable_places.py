import socket

import pytest

from sanefit.components.foundation.errors import RunFailedError, SettingsError
from sanefit.pipeline.local.reachable_places import require_reachable


@pytest.mark.parametrize("uri", ["127.0.0.1:5000", "./mlruns", "mlruns", "nonsense://x", "htp://host", "", "file:///x"])
def test_what_is_no_address_of_mlflow_s_is_told_with_its_value(uri: str) -> None:
    with pytest.raises(SettingsError) as raised:
        require_reachable(uri)
    assert f"MLFLOW_TRACKING_URI={uri!r}" in str(raised.value)
    assert "expected http://HOST:PORT" in str(raised.value)


@pytest.mark.parametrize("uri", ["sqlite:////tmp/x.db", "postgresql://u:p@host/db", "mysql+pymysql://u:p@host/db"])
def test_databases_are_left_to_mlflow(uri: str) -> None:
    require_reachable(uri)


def test_a_server_that_listens_passes_and_one_that_does_not_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        require_reachable(uri)
    with pytest.raises(SettingsError, match="expected a reachable MLflow server"):
        require_reachable(uri)


def test_a_password_in_a_server_s_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        require_reachable("http://ada:lovelace@127.0.0.1:1")
    assert "MLFLOW_TRACKING_PASSWORD" in str(raised.value)
    assert "lovelace" not in str(raised.value)


def test_another_registry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////tmp/other.db")
    with pytest.raises(SettingsError, match="MLFLOW_REGISTRY_URI"):
        require_reachable("sqlite:////tmp/x.db")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////tmp/x.db")
    require_reachable("sqlite:////tmp/x.db")


def test_no_message_shows_a_password() -> None:
    assert "lovelace" not in str(RunFailedError("at 'postgresql://ada:lovelace@host/db': no; expected; fix"))
    assert (
        str(RunFailedError("models:/x@champion at http://host:5000/a@b"))
        == "models:/x@champion at http://host:5000/a@b"
    )
