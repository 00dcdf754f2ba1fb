"""Which edits of sanefit's code, and of a user's, make another training."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.identity.code import (
    LEFT_OUT,
    digest_of_module,
    digest_of_own_code,
    lies_in_a_tree_of_the_users,
)
from sanefit.components.foundation.identity.source_closure import source_closure

COMPONENTS = Path(__file__).parents[3] / "components"
TRIAL = "sanefit.components.hyperparameter_search.pack.chunk_training"
MEMBER = "sanefit.components.final_training.member_runs"
STATISTICS = "sanefit.components.channel_stats.steps"
CHECKS = "sanefit.components.sanity_checks.steps"
FOUNDATION = "sanefit.components.foundation."


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """A copy of the components stands before them: change a text where it first stands in a file, or add one."""
    shutil.copytree(COMPONENTS, tmp_path / "sanefit" / "components", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sanefit" / "__init__.py").write_text('__version__ = "0.1.0"')
    monkeypatch.syspath_prepend(str(tmp_path))

    def edit(name: str, old: str, new: str) -> None:
        path = tmp_path / "sanefit" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1) if old else path.read_text() + new)

    return edit


def digests() -> dict[str, str]:
    entries = {"trial": TRIAL, "member": MEMBER, "statistics": STATISTICS, "checks": CHECKS}
    return {name: digest_of_own_code(entry) for name, entry in entries.items()}


NOTHING_NEW = {
    "page": ("components/run_report/page.html.j2", "<h1>", "<h1>!"),
    "other page": ("components/lecture/page.html.j2", "<h1>", "<h1>!"),
    "report": ("components/run_report/report.py", "import", "import sys, "),
    "version": ("__init__.py", "0.1.0", "0.2.0"),
    "docstring": ("components/foundation/training/loop/schedules.py", '"""', '"""Word. '),
    "step line": ("components/foundation/step_lines/line_forms.py", "[sanefit {step}]", "[{step}]"),
    "message": ("components/foundation/classifiers/own_module.py", "correct its parameters", "mend its parameters"),
    "refusal": ("components/foundation/schemas/network_refusals.py", "remove one of the two", "keep one"),
    "line about a GPU": ("components/foundation/step_lines/arithmetic_line.py", "has no bfloat16", "lacks bfloat16"),
    "further source": (
        "components/foundation/schemas/sources.py",
        "SOURCES = (",
        'SOURCES = (\n    SourceKind("squares", "squares"),',
    ),
    "run of MLflow": (
        "components/foundation/tracking/child_runs.py",
        "METRICS_PER_BATCH = 1000",
        "METRICS_PER_BATCH = 2000",
    ),
}


@pytest.mark.parametrize("edit", NOTHING_NEW.values(), ids=NOTHING_NEW)
def test_what_gives_the_same_results_has_the_same_digests(
    edited: Callable[..., None], edit: tuple[str, str, str]
) -> None:
    before = digests()
    edited(*edit)
    assert digests() == before


@pytest.mark.usefixtures("edited")
def test_the_copy_is_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = digests()
    monkeypatch.undo()
    assert digests() == copied


ADDED = "NEW = 1\n"
NEWS = {
    "training": ("components/foundation/randomness.py", "0x7FEB352D", "0x7FEB352E", {"trial", "member", "checks"}),
    "statistics": ("components/channel_stats/exact_statistics.py", "", ADDED, {"statistics"}),
    "checks": ("components/sanity_checks/checks/overfit.py", "", ADDED, {"checks"}),
    "distributed": ("components/final_training/distributed.py", "", ADDED, {"member"}),
    "folds": ("components/foundation/training/loop/folds.py", "", ADDED, {"trial"}),
}


@pytest.mark.parametrize("news", NEWS.values(), ids=NEWS)
def test_code_makes_that_new_which_uses_it(edited: Callable[..., None], news: tuple[str, str, str, set[str]]) -> None:
    *edit, changed = news
    before = digests()
    edited(*edit)
    assert {name for name, digest in digests().items() if digest != before[name]} == changed


def test_what_is_left_out_exists() -> None:
    assert [name for name in LEFT_OUT if importlib.util.find_spec(name) is None] == []


def test_a_trial_is_trained_by_the_networks_and_the_loop() -> None:
    found = set(source_closure([TRIAL], lambda name, _: name.startswith("sanefit.")))
    assert {
        f"{FOUNDATION}classifiers.convnet",
        f"{FOUNDATION}randomness",
        f"{FOUNDATION}image_dataset.batches",
    } <= found
    assert not any(name.startswith(("sanefit.pipeline", "sanefit.components.run_report")) for name in found)


# A user's module.


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's tree, and a folder of installed packages."""
    files = {
        "code/my_net.py": "import torch, installed_lib\nfrom layers.block import Block\nclass Net: ...",
        "code/layers/block.py": "import layers.sizes\nWIDTH = 3\nclass Block: ...",
        "code/layers/sizes.py": "SIZE = 1",
        "code/unrelated.py": "x = 1",
        "lib/site-packages/installed_lib.py": "x = 1",
        "lib/site-packages/their_net/__init__.py": "",
        "lib/site-packages/their_net/net.py": "from their_net import parts\nimport installed_lib, beside_it",
        "lib/site-packages/their_net/parts.py": "x = 1",
        "code/beside_it.py": "x = 1",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path / "lib/site-packages"))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return tmp_path


OWN, THEIRS = "my_net:Net", "their_net.net:Net"


@pytest.mark.parametrize(
    ("path", "file", "counts"),
    [
        (OWN, "code/my_net.py", True),
        (OWN, "code/layers/block.py", True),
        (OWN, "code/layers/sizes.py", True),
        (OWN, "code/unrelated.py", False),
        (OWN, "lib/site-packages/installed_lib.py", False),
        (THEIRS, "lib/site-packages/their_net/net.py", True),
        (THEIRS, "lib/site-packages/their_net/parts.py", True),
        (THEIRS, "lib/site-packages/installed_lib.py", False),
        (THEIRS, "code/beside_it.py", True),
    ],
)
def test_an_edit_in_the_users_tree_counts(tree: Path, path: str, file: str, counts: bool) -> None:
    before = digest_of_module(path)
    with (tree / file).open("a") as opened:
        opened.write("\n# a comment")
    assert digest_of_module(path) == before
    with (tree / file).open("a") as opened:
        opened.write("\nCHANGED = True")
    assert (digest_of_module(path) != before) == counts


def test_where_a_tree_lies_does_not_count(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_of_module(OWN)
    (tree / "code").rename(tree / "image")
    monkeypatch.syspath_prepend(str(tree / "image"))
    assert digest_of_module(OWN) == before


def test_what_a_module_takes_of_sanefit_counts_without_its_pages(tree: Path, edited: Callable[..., None]) -> None:
    (tree / "code/my_net.py").write_text(
        "from sanefit.components.foundation.classifiers.activations import *\nimport sanefit.components.run_report"
    )
    before = digest_of_module(OWN)
    edited("components/foundation/step_lines/line_forms.py", "[sanefit {step}]", "[{step}]")
    assert digest_of_module(OWN) == before
    edited("components/foundation/classifiers/activations.py", "", ADDED)
    assert digest_of_module(OWN) != before


def test_no_module_has_no_digest_and_a_missing_one_is_said() -> None:
    assert digest_of_module("") == ""
    with pytest.raises(
        SettingsError, match=r"network.path='my_nets:Net': No module named 'my_nets'; expected .*PYTHONPATH"
    ):
        digest_of_module("my_nets:Net")


@pytest.mark.parametrize("name", ["json", "decimal", "numpy", "pydantic", "pytest", "_json"])
def test_what_comes_with_python_or_is_installed_is_not_the_users(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert spec.origin == "built-in" or not lies_in_a_tree_of_the_users(Path(spec.origin))


def test_this_file_is_the_users() -> None:
    assert lies_in_a_tree_of_the_users(Path(__file__))


def test_torch_is_not_read_its_version_counts() -> None:
    assert digest_of_module("torch.nn:Linear") == digest_of_module("torch.nn.functional:relu")
