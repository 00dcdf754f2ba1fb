"""What tests of the pipeline share."""

import functools
import inspect
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kfp.dsl import pipeline_task


@pytest.fixture(scope="session", autouse=True)
def _kfp_reads_no_source() -> Iterator[None]:
    """Each setting of a task looks up its caller's name in the whole stack; with source lines, deep in a test, that
    takes 50 ms.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=functools.partial(inspect.stack, 0)))
        yield
