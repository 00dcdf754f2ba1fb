"""A lock that a folder's or a bucket's users share, where they vanish or are late."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from said import Said

from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.lease import held

pytestmark = pytest.mark.slow


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else f"{request.getfixturevalue('s3')}/{tmp_path.name}"


@pytest.fixture
def lock(storage: str) -> str:
    return f"{storage}/locks/a.json"


def test_one_at_a_time_holds_it(lock: str) -> None:
    inside, most, guard = 0, 0, threading.Lock()
    pause = threading.Event()

    def use(_number: int) -> None:
        nonlocal inside, most
        with held(lock, "it", Said(), sleep=lambda _: pause.wait(0.01) and None):
            with guard:
                inside += 1
                most = max(most, inside)
            object_store.exists(lock)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(12)))
    assert most == 1
    assert not object_store.exists(lock)


def test_it_is_waited_for_and_said_once_until_whoever_holds_it_gives_it_up(lock: str) -> None:
    said, slept = Said(), []
    first = held(lock, "the first", Said())
    first.__enter__()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            first.__exit__(None, None, None)

    with held(lock, "the first", said, sleep=sleep):
        assert len(slept) == 3
    assert said == ["waiting for the first"]


def test_nobody_waits_for_ever(lock: str) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    object_store.write_bytes(lock, b'{"holder": "another", "until": 1e12}')
    with held(lock, "it", Said(), clock=lambda: now[0], seconds=5, sleep=sleep):
        assert 10 < now[0] <= 14
    assert object_store.exists(lock)


@pytest.mark.parametrize("content", [b'{"holder": "gone", "until": 99}', b"", b"[]", b'{"until": "x"}'])
def test_one_whose_holder_has_vanished_is_taken_after_the_lease(lock: str, content: bytes) -> None:
    object_store.write_bytes(lock, content)
    with held(lock, "it", Said(), clock=lambda: 100.0, seconds=5, sleep=pytest.fail):
        assert json.loads(object_store.read_bytes(lock))["until"] == 105
    assert not object_store.exists(lock)


def test_one_that_another_took_over_meanwhile_is_left_alone(lock: str) -> None:
    others = b'{"holder": "another", "until": 1e12}'
    with held(lock, "it", Said()):
        object_store.write_bytes(lock, others)
    assert object_store.read_bytes(lock) == others


def test_what_goes_wrong_inside_gives_it_up(lock: str) -> None:
    with pytest.raises(ValueError, match="inside"), held(lock, "it", Said()):
        raise ValueError("inside")
    assert not object_store.exists(lock)


def test_nothing_is_written_over(storage: str) -> None:
    uri = f"{storage}/one"
    assert object_store.write_new(uri, b"first")
    assert not object_store.write_new(uri, b"second")
    assert object_store.read_bytes(uri) == b"first"
    assert object_store.list_files(storage) == ["one"]
