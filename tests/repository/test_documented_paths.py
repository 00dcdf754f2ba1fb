"""Files and folders that the documents name exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
QUOTED = re.compile(r"`([\w.*/-]+/[\w.*/-]*)`")
TREE = re.compile(r"^## Where things live\n+```\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def tracked() -> set[str]:
    """Files as git has them, and their folders."""
    files = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return {str(path) for file in files for path in (Path(file), *Path(file).parents)}


TRACKED = tracked()
TOP = {path for path in TRACKED if "/" not in path}
FOLDERS = {Path(path).name for path in TRACKED if path.startswith(("components/", "pipeline/")) and "." not in path}
ENDINGS = {"/".join(Path(path).parts[start:]) for path in TRACKED for start in range(len(Path(path).parts))}
IGNORED = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}


def named_paths(text: str) -> Iterator[str]:
    """Quoted paths that begin with a folder of ours, wherever it lies; others are a user's, or in a storage."""
    for path in QUOTED.findall(text):
        if path.split("/")[0] in TOP | FOLDERS:
            yield path.rstrip("/")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(document: Path) -> None:
    missing = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_paths_exist(document: Path) -> None:
    missing = [
        path
        for path in named_paths(document.read_text())
        if path not in ENDINGS | IGNORED and not ("*" in path and any(ROOT.glob(path)))
    ]
    assert missing == []


def test_every_folder_at_the_top_is_explained() -> None:
    (tree,) = TREE.findall((ROOT / "README.md").read_text())
    explained = {line.split("/")[0] for line in tree.splitlines() if line[0] != " "}
    folders = {path for path in TOP if (ROOT / path).is_dir() and not path.startswith(".")}
    assert folders <= explained <= folders | IGNORED
