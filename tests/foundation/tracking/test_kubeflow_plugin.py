"""What Kubeflow's MLflow plugin tells a container."""

import pytest

from sanefit.components.foundation.tracking.kubeflow_plugin import plugins_run
from sanefit.components.foundation.tracking.tags import PLUGINS_RUN_TAG


@pytest.mark.parametrize(
    ("said", "tags"),
    [
        (None, {}),
        ('{"parentRunId": "6f6f", "experimentId": "7"}', {PLUGINS_RUN_TAG: "6f6f"}),
        ('{"experimentId": "7"}', {}),
        ('{"parentRunId": ""}', {}),
        ('{"parentRunId": 3}', {}),
        ("[]", {}),
        ("no JSON", {}),
    ],
)
def test_the_plugins_run_is_named_where_it_says_one(said: str | None, tags: dict[str, str]) -> None:
    assert plugins_run({} if said is None else {"KFP_MLFLOW_CONFIG": said}) == tags
