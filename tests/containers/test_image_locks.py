"""The images' locks: the versions of requirements.lock, with hashes, and no more than the steps need."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = {name: ROOT / "images" / name / "requirements.lock" for name in ("data", "trainer")}

IMAGE_PLATFORM = {
    "python_version": "3.11",
    "python_full_version": "3.11.9",
    "platform_system": "Linux",
    "sys_platform": "linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "os_name": "posix",
}


def entries(lock: Path) -> list[str]:
    """Each requirement with its options, on one line."""
    joined = lock.read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and line[0].isalnum()]


def versions(lock: Path) -> dict[str, str]:
    """Locked versions by canonical name, as the images install them."""
    requirements = [Requirement(entry.split(" --hash")[0]) for entry in entries(lock)]
    return {
        canonicalize_name(requirement.name): str(requirement.specifier)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(IMAGE_PLATFORM)
    }


@pytest.mark.parametrize("image", LOCKS)
def test_an_image_has_the_versions_of_the_whole_projects_lock(image: str) -> None:
    everything = versions(ROOT / "requirements.lock")
    locked = versions(LOCKS[image])
    assert locked == {name: everything.get(name) for name in locked}


@pytest.mark.parametrize("image", LOCKS)
def test_every_package_is_pinned_and_has_a_hash(image: str) -> None:
    for entry in entries(LOCKS[image]):
        assert re.match(r"[a-z0-9-]+==[^ ]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry
        assert "://" not in entry


@pytest.mark.parametrize("image", LOCKS)
def test_what_is_asked_for_is_locked_and_what_is_excluded_is_not(image: str) -> None:
    def names(file: str) -> set[str]:
        lines = (LOCKS[image].with_name(file)).read_text().splitlines()
        return {canonicalize_name(line.split("#")[0].strip()) for line in lines if line.split("#")[0].strip()}

    locked = versions(LOCKS[image]).keys()
    assert names("requirements.in") <= locked
    assert locked.isdisjoint(names("requirements.excluded"))


def test_the_data_image_has_neither_torch_nor_cuda() -> None:
    unwanted = [name for name in versions(LOCKS["data"]) if re.match(r"torch|nvidia|cuda|triton|mlflow", name)]
    assert unwanted == []
