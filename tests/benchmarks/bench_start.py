"""How much CPU time the command's help takes, beside an interpreter that does nothing."""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

from figures import print_figure

REPETITIONS = 5
COMMANDS = ("", "run", "runs list", "schedule set")


def cpu_seconds(arguments: Sequence[str]) -> float:
    """User and system time of one run of this interpreter."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, arguments
    return usage.ru_utime + usage.ru_stime


def median(arguments: Sequence[str]) -> float:
    return statistics.median(cpu_seconds(arguments) for _ in range(REPETITIONS))


def main() -> None:
    cpu_seconds(["-m", "sanefit", "--help"])  # writes the byte code
    interpreter = round(median(["-c", "pass"]), 3)
    for command in COMMANDS:
        seconds = median(["-m", "sanefit", *command.split(), "--help"])
        name = " ".join(["sanefit", *command.split(), "--help"])
        print_figure(name, round(seconds, 3), "s of CPU", REPETITIONS, interpreter_alone=interpreter)


if __name__ == "__main__":
    main()
