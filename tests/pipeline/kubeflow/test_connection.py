"""What reaches the API and what it answers: credentials, failures, retries, one line each."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kubeflow_api_double import KubeflowDouble
from stopped_clock import Clock

from sanefit.components.foundation.errors import SanefitError, SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.connection import connect
from sanefit.pipeline.kubeflow.client.credentials import Credentials, find_credentials, require_protected
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.cluster_runs import get_run, list_runs
from sanefit.pipeline.kubeflow.runs.submit import submit
from sanefit.pipeline.settings.run_config import RunConfig

SECRET = "very-secret.token_value"
RUN = "11111111-2222-3333-4444-555555555555"


def refused(kubeflow: Kubeflow) -> KubeflowError:
    with pytest.raises(KubeflowError) as caught:
        list_runs(kubeflow, 5)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("how", "words", "exit_status"),
    [
        (400, "HTTP 400 (made to fail: 400)", 2),
        (401, "not signed in", 2),
        (403, "may not get pipelines (made to fail: 403); ask for a Role", 2),
        (409, "HTTP 409", 1),
        (429, "too many requests", 1),
        (500, "HTTP 500 (made to fail: 500)", 1),
        (502, "not available, HTTP 502", 1),
        (503, "not available, HTTP 503", 1),
        (504, "not available, HTTP 504", 1),
        ("drop", "the connection broke", 1),
        ("login page", "not signed in; set KFP_TOKEN", 2),
        ("text", "the answer is no JSON", 2),
    ],
)
def test_a_failure_is_one_line_with_the_right_exit_status(
    how: str | int, words: str, exit_status: int, double: KubeflowDouble, kubeflow: Kubeflow
) -> None:
    double.fail("GET", "pipelines/names", how, times=99)
    error = refused(kubeflow)
    assert words in str(error)
    assert double.url in str(error)
    assert error.exit_status == exit_status


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/dex/auth?client_id=kubeflow", "not signed in"),
        ("https://login.example.com/oauth2/start", "not signed in"),
        ("https://elsewhere.example.com/pipeline", "redirect to 'https://elsewhere.example.com/pipeline'"),
    ],
)
def test_a_redirect_is_not_followed(location: str, words: str, double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    double.fail("GET", "pipelines/names", "redirect", headers={"Location": location})
    error = refused(kubeflow)
    assert words in str(error)
    assert error.exit_status == 2
    assert len(double.requests) == 1


@pytest.mark.parametrize("how", [429, 500, 502, 503, 504, "drop"])
def test_reading_is_repeated_until_it_succeeds(how: str | int, double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    double.fail("GET", "pipelines/names", how, times=3)
    assert list_runs(kubeflow, 5) == []


@pytest.mark.parametrize("how", [400, 401, 403, 409, "login page"])
def test_what_will_not_pass_is_not_repeated(how: str | int, double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    double.fail("GET", "pipelines/names", how)
    refused(kubeflow)
    assert len(double.requests) == 1


def test_repeating_waits_as_long_as_the_server_says_within_reason(
    double: KubeflowDouble, kubeflow: Kubeflow, clock: Clock
) -> None:
    for seconds in ("30", "3600", "no number"):
        double.fail("GET", "pipelines/names", 429, headers={"Retry-After": seconds})
    list_runs(kubeflow, 5)
    assert clock.slept == [30.0, 60.0, 4.0]


def test_an_answer_that_never_comes(double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    double.fail("GET", "pipelines/names", "hang", times=99)
    began = time.monotonic()
    error = refused(replace(kubeflow, timeout=(1.0, 0.2)))
    assert "no answer in time" in str(error)
    assert error.exit_status == 1
    assert time.monotonic() - began < 5


def test_a_server_that_is_not_there(clock: Clock) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = refused(replace(connect(address, environment={}), sleep=clock.sleep))
    assert "connection refused" in str(error)
    assert error.exit_status == 1


def test_a_host_that_is_not_there(clock: Clock) -> None:
    error = refused(replace(connect("https://no-such-host.invalid", environment={}), sleep=clock.sleep))
    assert "no such host" in str(error)
    assert error.exit_status == 2


def test_an_address_without_the_api_is_not_an_empty_cluster(double: KubeflowDouble, clock: Clock) -> None:
    error = refused(replace(connect(f"{double.url}/elsewhere", environment={}), sleep=clock.sleep))
    assert "no Kubeflow Pipelines here" in str(error)
    assert error.exit_status == 2
    double.fail("GET", "pipelines/names", "not found page")
    assert "no Kubeflow Pipelines here" in str(refused(connect(double.url, environment={})))


def test_a_page_of_a_proxy_in_another_encoding(double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    double.fail("GET", "pipelines/names", "latin-1 page", times=99)
    error = refused(kubeflow)
    assert "not available, HTTP 502" in str(error)
    assert error.passing


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "double")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "double.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def encrypted(double: KubeflowDouble, certificate: Path) -> Iterator[str]:
    """The double behind TLS: bytes pass to and fro."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = socket.create_server(("127.0.0.1", 0))
    port = int(double.url.rsplit(":", 1)[1])

    def serve() -> None:
        while True:
            try:
                outer, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=(outer,), daemon=True).start()

    def pass_on(outer: socket.socket) -> None:
        try:
            with (
                context.wrap_socket(outer, server_side=True) as inner,
                socket.create_connection(("127.0.0.1", port)) as plain,
            ):
                threading.Thread(target=copy, args=(plain, inner), daemon=True).start()
                copy(inner, plain)
        except OSError:
            pass

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while part := source.recv(65536):
                target.sendall(part)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    listening.close()


def test_a_certificate_that_nobody_signed(encrypted: str, clock: Clock) -> None:
    error = refused(replace(connect(encrypted, environment={}), sleep=clock.sleep))
    assert "certificate is not trusted" in str(error)
    assert "--ca-cert" in str(error)
    assert error.exit_status == 2


def test_a_certificate_that_is_named_is_trusted(
    encrypted: str, certificate: Path, double: KubeflowDouble, clock: Clock
) -> None:
    double.tokens = {SECRET}
    trusted = connect(encrypted, ca_cert=certificate, environment={"KFP_TOKEN": SECRET})
    assert list_runs(replace(trusted, sleep=clock.sleep), 5) == []


def test_a_file_of_certificates_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--ca-cert"):
        connect("https://kubeflow.example.com", ca_cert=tmp_path / "none.pem", environment={})


# credentials


def test_a_token_is_sent_as_bearer(double: KubeflowDouble) -> None:
    double.tokens = {SECRET}
    list_runs(connect(double.url, environment={"KFP_TOKEN": f" {SECRET}\n"}), 5)
    assert double.requests[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("cookie", ["authservice_session=abc==", "_oauth2_proxy_0=a; _oauth2_proxy_1=b"])
def test_a_cookie_is_sent(cookie: str, double: KubeflowDouble) -> None:
    double.cookies = {cookie}
    list_runs(connect(double.url, environment={"KFP_COOKIE": cookie}), 5)


def test_without_a_cookie_the_login_is_recognized(double: KubeflowDouble, kubeflow: Kubeflow) -> None:
    double.cookies = {"session=1"}
    assert "not signed in; set KFP_TOKEN, KFP_TOKEN_FILE or KFP_COOKIE" in str(refused(kubeflow))


@pytest.mark.parametrize("variable", ["KFP_TOKEN_FILE", "KF_PIPELINES_SA_TOKEN_PATH"])
def test_a_token_that_rotates_is_read_again(variable: str, double: KubeflowDouble, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old-token")
    kubeflow = connect(double.url, environment={variable: str(path)})
    double.tokens = {"old-token"}
    list_runs(kubeflow, 5)
    double.tokens = {"new-token"}
    path.write_text("new-token\n")
    list_runs(kubeflow, 5)
    path.unlink()
    with pytest.raises(SettingsError, match=variable):
        list_runs(kubeflow, 5)


def test_a_pod_uses_its_own_token_unless_another_is_given(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("pods-own")
    own = find_credentials({}, pod_token=path)
    assert own.token is not None
    assert own.token() == "pods-own"
    given = find_credentials({"KFP_TOKEN": "given"}, pod_token=path)
    assert given.token is not None
    assert given.token() == "given"
    assert find_credentials({}, pod_token=tmp_path / "none").token is None


@pytest.mark.parametrize(
    "environment",
    [
        {"KFP_TOKEN": "a", "KFP_COOKIE": "b=c"},
        {"KFP_TOKEN": "a", "KFP_TOKEN_FILE": "/f"},
        {"KFP_TOKEN": f"{SECRET} and more"},
        {"KFP_TOKEN": f"{SECRET}\nInjected: header"},
        {"KFP_COOKIE": SECRET},
        {"KFP_COOKIE": f"name={SECRET}\r\nInjected: header"},
        {"KFP_TOKEN_FILE": "/no/such/file"},
    ],
)
def test_credentials_that_cannot_be_used(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        find_credentials(environment)
    assert next(iter(environment)) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://kubeflow.example.com",
        "http://127.0.0.1:8888",
        "http://localhost:8888",
        "http://[::1]:8888",
        "http://127.8.0.1",
        "http://ml-pipeline.kubeflow.svc:8888",
        "http://ml-pipeline.kubeflow.svc.cluster.local:8888",
    ],
)
def test_where_a_secret_may_go(address: str) -> None:
    require_protected(address, Credentials("KFP_TOKEN", token=lambda: "t"))


@pytest.mark.parametrize(
    "address",
    [
        "http://kubeflow.example.com",
        "http://10.0.0.1:8888",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://svc.example.com",
        "http://ml-pipeline",
    ],
)
def test_where_a_secret_may_not_go(address: str) -> None:
    with pytest.raises(SettingsError, match="unencrypted"):
        connect(address, environment={"KFP_TOKEN": SECRET})
    connect(address, environment={})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
def test_a_server_that_repeats_the_secret_does_not_get_it_shown(
    status: int, double: KubeflowDouble, clock: Clock
) -> None:
    kubeflow = replace(connect(double.url, environment={"KFP_TOKEN": SECRET}), sleep=clock.sleep)
    echo = {"message": f"bad token {SECRET}", "code": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kubeflow_api_double._status", lambda *_: echo)
        double.fail("GET", "/runs/", status, times=99)
        with pytest.raises(SanefitError) as caught:
            get_run(kubeflow, RUN)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(kubeflow)
    assert SECRET not in repr(kubeflow.credentials)


def test_a_token_that_is_not_accepted_is_named_not_shown(double: KubeflowDouble) -> None:
    double.tokens = {"another"}
    kubeflow = connect(double.url, environment={"KFP_TOKEN": SECRET})
    error = refused(kubeflow)
    assert "KFP_TOKEN is not accepted: renew it" in str(error)
    assert SECRET not in str(error)


# addresses


@pytest.mark.parametrize(
    "address",
    [
        "kubeflow.example.com",
        "ftp://kubeflow",
        "https://",
        "http://host:port",
        "https://h/p?x=1",
        "https://h/#/runs",
        "h t",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(SettingsError, match="--endpoint"):
        connect(address, environment={})


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        connect(f"https://me:{SECRET}@kubeflow.example.com", environment={})
    assert SECRET not in str(caught.value)


def test_in_a_pod_the_cluster_is_known() -> None:
    kubeflow = connect(environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert kubeflow.endpoint == "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
    assert kubeflow.link_line("x") == (
        "http://127.0.0.1:8080/#/runs/details/x (after kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80)"
    )


def kubeconfig(folder: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"name": "one"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{**named, "cluster": {"server": server}}],
        "users": [{**named, "user": {"token": SECRET}}],
        "contexts": [{**named, "context": {"cluster": "one", "user": "one"}}],
    }
    path = folder / "config"
    path.write_text(json.dumps(config))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))


def test_the_kubeconfig_leads_through_the_api_server(
    double: KubeflowDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    kubeconfig(tmp_path, double.url, monkeypatch)
    kubeflow = replace(connect(environment={}), sleep=clock.sleep)
    with pytest.raises(KubeflowError, match="the kubeconfig's cluster"):
        get_run(kubeflow, RUN)
    double.requests.clear()
    double.fail("GET", "/runs/", 401)
    with pytest.raises(KubeflowError, match="the kubeconfig is not accepted: renew it"):
        get_run(kubeflow, RUN)
    [request] = double.requests
    assert request.path == (f"/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy/apis/v2beta1/runs/{RUN}")
    assert request.headers["authorization"] == f"Bearer {SECRET}"


def test_a_token_for_kubeflow_is_not_mixed_with_the_kubeconfig(
    double: KubeflowDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig(tmp_path, double.url, monkeypatch)
    with pytest.raises(SettingsError, match=r"KFP_TOKEN is given without an endpoint.*KFP_ENDPOINT"):
        connect(environment={"KFP_TOKEN": SECRET})


def test_without_any_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="--endpoint or KFP_ENDPOINT"):
        connect(environment={})


def test_writing_is_repeated_only_when_it_was_not_looked_at(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig
) -> None:
    double.fail("POST", "/runs$", 429, times=2)
    submit(config, kubeflow, "digits-1")
    assert len(double.store.runs) == 1
