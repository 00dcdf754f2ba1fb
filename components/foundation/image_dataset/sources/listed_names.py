"""The names of numbered classes, one a line of a file beside the images."""

import re
from dataclasses import dataclass

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.storage import object_store

NUMBER = re.compile("-?[0-9]{1,18}")
FILES = ("classes.txt", "classnames.txt")


@dataclass(frozen=True)
class ListedNames:
    """``names``: of the classes from 0, where ``file`` lists them."""

    names: list[str]
    file: str = ""

    def of(self, label: str, where: str) -> str:
        """The name of a label that is a whole number; any other is a name itself.

        Args:
            label: as it is written.
            where: it is written, for errors.

        Raises:
            DataError: when there is no name for the number.
        """
        if not self.file or not NUMBER.fullmatch(label):
            return label
        if not 0 <= int(label) < len(self.names):
            raise DataError(
                f"data.source: {where} is of class {label}; expected 0 to {len(self.names) - 1}, for {self.file!r} "
                f"lists {len(self.names):,} names; correct one of them"
            )
        return self.names[int(label)]


def class_names_beside(folder: str) -> ListedNames:
    """The names that ``classes.txt`` or ``classnames.txt`` in a folder lists, if one is there.

    Raises:
        DataError: when it is no text, a line is empty, or two are the same.
        StorageError: when it cannot be read.
    """
    for name in FILES:
        file = object_store.join(folder, name) if folder else name
        if object_store.exists(file):
            return ListedNames(_lines(file), file)
    return ListedNames([])


def _lines(file: str) -> list[str]:
    try:
        names = [line.strip() for line in object_store.read_bytes(file).decode("utf-8-sig").rstrip().split("\n")]
    except UnicodeDecodeError:
        raise DataError(f"data.source: {file!r} is not UTF-8; expected a class a line; save it anew as UTF-8") from None
    return require_distinct(names, file)


def require_distinct(names: list[str], file: str) -> list[str]:
    """The names of classes that a file lists.

    Raises:
        DataError: when one is empty, or two are the same: these classes would become one.
    """
    number_of: dict[str, int] = {}
    for number, name in enumerate(names):
        if not name or name in number_of:
            what = f"{name!r}, as class {number_of[name]}" if name else "nothing"
            raise DataError(
                f"data.source: {file!r} names class {number} {what}; expected a name of its own for each; correct it"
            )
        number_of[name] = number
    return names
