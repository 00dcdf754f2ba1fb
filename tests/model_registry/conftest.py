"""A storage and a local MLflow that the tests of a file share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def uri(storage: Path) -> str:
    return f"sqlite:///{storage / 'mlflow.db'}"
