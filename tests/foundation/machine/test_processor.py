"""What a machine's processor is called."""

import platform
from pathlib import Path

import pytest

from sanefit.components.foundation.machine.processor import processor_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: Xeon: 8 cores\nmodel name\t: other\n", "Xeon: 8 cores"),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", platform.machine()),
        ("model name\t:\n", platform.machine()),
    ],
)
def test_the_name_is_the_kernel_s_or_else_the_architecture(text: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert processor_name(file) == name
    assert processor_name(tmp_path / "none") == platform.machine()
