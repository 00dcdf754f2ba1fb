"""The help of every command is there at once: it loads none of the libraries that the commands work with."""

import json
import subprocess
import sys

SLOW = {"PIL", "boto3", "kfp", "kubernetes", "matplotlib", "mlflow", "numpy", "optuna", "pyarrow", "rich", "torch"}

EVERY_HELP = """
import json, sys
import typer.main
from sanefit.pipeline.commands.main import app

def paths(command, path):
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, [*path, name])

loaded = {}
for path in paths(typer.main.get_command(app), []):
    try:
        app([*path, "--help"])
    except SystemExit as end:
        assert end.code == 0, path
    loaded[" ".join(path)] = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps(loaded))
"""


def test_help_loads_no_slow_library() -> None:
    finished = subprocess.run([sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, check=True)
    loaded: dict[str, list[str]] = json.loads(finished.stdout.splitlines()[-1])
    assert {"", "run", "check", "stats", "lecture", "runs retry", "schedule set", "doctor"} <= loaded.keys()
    assert finished.stdout.count("Usage: ") == len(loaded)
    assert {command: found for command, names in loaded.items() if (found := SLOW.intersection(names))} == {}
