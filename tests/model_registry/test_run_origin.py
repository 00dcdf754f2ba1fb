"""Whether the champion is made from the same, against a real MLflow store."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from said import Said

from sanefit.components.foundation.identity import STEPS, digest_of_code
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.model_registry.run_lifecycle import flat_settings, open_tracking_run
from sanefit.components.model_registry.run_origin import compare, origin_of

pytestmark = pytest.mark.slow

DATASET = DatasetReference(folder_uri="/somewhere", fingerprint="f" * 64)
SETTINGS = flat_settings(0, search='{"packs": 2}', final='{"epochs": 3}')


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def champion(tmp_path: Path, uri: str) -> Callable[..., str]:
    """Make a run's version the champion; the run's id."""

    def promote(run_name: str = "first", settings: dict[str, str] = SETTINGS) -> str:
        run = open_tracking_run("digits", run_name, str(tmp_path), uri, DATASET, settings, Said())
        client = MlflowClient(uri)
        if not client.search_registered_models("name = 'digits'"):
            client.create_registered_model("digits")
        version = client.create_model_version("digits", "file:///model", run.tracking_run_id)
        client.set_registered_model_alias("digits", "champion", version.version)
        return run.tracking_run_id

    return promote


def test_without_a_champion_everything_is_news(uri: str, tmp_path: Path) -> None:
    said = Said()
    assert compare(origin_of(DATASET, SETTINGS), "digits", uri, said) == "news"
    assert "no champion" in said[-1]
    assert not (tmp_path / "mlflow.db").exists(), "asking must not create a store"


def test_the_same_again_is_nothing_new(uri: str, champion: Callable[..., str]) -> None:
    champion()
    said = Said()
    assert compare(origin_of(DATASET, SETTINGS), "digits", uri, said) == "nothing new"
    assert "version 1" in said[-1]


@pytest.mark.parametrize("changed", ["fingerprint", "code", "configuration"])
def test_each_of_the_three_is_news_and_is_named(
    uri: str, champion: Callable[..., str], tmp_path: Path, changed: str
) -> None:
    champion()
    dataset, settings, code = DATASET, dict(SETTINGS), STEPS
    if changed == "fingerprint":
        dataset = DatasetReference(folder_uri="/somewhere", fingerprint="e" * 64)
    elif changed == "code":
        code = tmp_path / "code"
        code.mkdir()
        (code / "step.py").write_text("x = 1")
    else:
        settings["final.epochs"] = "4"
    said = Said()
    assert compare(origin_of(dataset, settings, code), "digits", uri, said) == "news"
    assert said[-1].endswith(f": {changed}")


def test_the_champion_counts_not_the_latest_run(uri: str, champion: Callable[..., str], tmp_path: Path) -> None:
    champion(settings={**SETTINGS, "seed": "1"})
    open_tracking_run("digits", "later", str(tmp_path), uri, DATASET, SETTINGS, Said())
    assert compare(origin_of(DATASET, SETTINGS), "digits", uri, Said()) == "news"


def test_a_champion_whose_run_is_gone_is_trained_again(uri: str, champion: Callable[..., str]) -> None:
    run_id = champion()
    client = MlflowClient(uri)
    for tag in ("sanefit.fingerprint", "sanefit.code", "sanefit.configuration"):
        client.delete_tag(run_id, tag)
    assert compare(origin_of(DATASET, SETTINGS), "digits", uri, Said()) == "news"


sources = st.dictionaries(st.sampled_from(["a.py", "b/a.py", "b/c.py", "page.j2"]), st.binary(max_size=20))


@given(one=sources, other=sources)
def test_code_has_the_same_digest_when_it_is_the_same(
    one: dict[str, bytes], other: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    digests = []
    for files in (one, other):
        folder = tmp_path_factory.mktemp("code")
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "notes.txt").write_text(str(len(digests)))  # no code
        digests.append(digest_of_code(folder))
    assert (digests[0] == digests[1]) == (one == other)
