"""A whole run whose MLflow server is killed again and again in the search: in the end every trial is there, once.

``python tests/pipeline/local/test_tracking_outage.py KILLS SECONDS_DOWN TRIALS FOLDER`` does the same at other sizes.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from containers.servers import mlflow_server
from free_ports import free_port
from mlflow import MlflowClient

from sanefit.components.foundation.schemas.search import PackResult

EPOCHS = 3
RUN = """
name: digits
data: {{source: digits}}
network: {{kind: two_layer, hidden: 16}}
checks:
  skip: [splits_alike, inputs_normalised, neurons_differ, activations_between, signals, modes, regularisation,
    gradient_step, overfit, learning_rates, weight_decays, carries_over]
search:
  packs: 2
  engine: loop
  coarse: {{trials: {trials}, epochs: {epochs}, learning_rate: [3.0e-2, 3.0e-1]}}
  fine: {{trials: {trials}, epochs: {epochs}}}
final: {{epochs: 4}}
"""


def run_with_outages(folder: Path, kills: int, down: float, trials: int, seed: int = 0) -> int:
    """Kill the server at random moments while trials are written, and start it again; how often that came about."""
    chance, port, done = random.Random(seed), free_port(), 0
    (folder / "run.yaml").write_text(RUN.format(trials=trials, epochs=EPOCHS))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    command = [str(Path(sys.executable).with_name("sanefit")), "run", "run.yaml", "--workdir", "runs", "--json"]
    with ExitStack() as server, (folder / "out").open("w") as out:
        server.enter_context(mlflow_server(folder, port=port))
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT) as run:
            while run.poll() is None and done < kills:
                if not (written := _children(folder)) or written >= 2 * trials:
                    time.sleep(0.05)
                    continue
                time.sleep(chance.uniform(0, 2))
                server.close()
                done += 1
                time.sleep(down)
                server.enter_context(mlflow_server(folder, port=port))
        assert run.returncode == 0, (folder / "out").read_text()[-2000:]
        [summary] = [json.loads(line) for line in (folder / "out").read_text().splitlines() if line.startswith("{")]
        assert summary["alias"] == "champion"
        _assert_every_trial_once(MlflowClient(environment["MLFLOW_TRACKING_URI"]), folder, trials)
    return done


def _children(folder: Path) -> int:
    if not (folder / "mlflow.db").exists():
        return 0
    with sqlite3.connect(f"file:{folder}/mlflow.db?mode=ro", uri=True, timeout=30) as store:
        try:
            return int(store.execute("select count(*) from tags where key = 'sanefit.trial'").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


def _assert_every_trial_once(client: MlflowClient, folder: Path, trials: int) -> None:
    [parent] = client.search_runs([client.get_experiment_by_name("digits").experiment_id], "tags.`sanefit.run` != ''")
    assert parent.info.status == "FINISHED"
    found, token = [], None
    while True:
        query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        page = client.search_runs([parent.info.experiment_id], query, page_token=token)
        found, token = [*found, *page], page.token
        if not token:
            break
    expected = [f"{stage}-{number:04d}" for stage in ("coarse", "fine") for number in range(trials)]
    assert Counter(run.info.run_name for run in found) == Counter([*expected, "final"])
    by_name = {run.info.run_name: run for run in found}
    packs = [PackResult.model_validate_json(path.read_bytes()) for path in folder.glob("runs/runs/*/trials/*-???.json")]
    results = {f"{pack.stage}-{one.spec.number:04d}": one for pack in packs for one in pack.results}
    assert set(results) == set(expected)
    for name, result in results.items():
        run = by_name[name]
        assert run.info.status == "FINISHED"
        points = client.get_metric_history(run.info.run_id, "validation_accuracy")
        curve = [(record.epoch, record.validation_accuracy) for record in result.epochs]
        assert sorted((point.step, point.value) for point in points) == curve
    assert list(folder.glob("runs/runs/*/untracked/*")) == []


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_search_costs_no_trial(tmp_path: Path) -> None:
    assert run_with_outages(tmp_path, kills=3, down=2.0, trials=40) == 3


if __name__ == "__main__":
    print(run_with_outages(Path(sys.argv[4]), int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
