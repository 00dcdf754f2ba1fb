"""What changes the digest of a source, and what does not."""

import ast
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.identity.source_digest import digest_of_source

SOURCE = '''
"""A network."""
import torch

RATE = 0.1


class Net(torch.nn.Module):
    """Two layers."""

    def __init__(self, width, say):
        """Make it."""
        super().__init__()
        if width < 1:
            raise ValueError(f"width={width}: expected 1 or more")
        assert width != 13, "unlucky"
        say(f"{width} neurons")
        self.seed = derive_seed(0, "weights")
        self.layer = torch.nn.Linear(width, 10, bias=True)
'''


def digest(source: str) -> str:
    return digest_of_source({"net": source.encode()})


SAME = {
    "comment": ("RATE = 0.1", "RATE = 0.1  # the lecture's"),
    "docstring of the module": ('"""A network."""', '"""Another word."""'),
    "docstring of a class": ('"""Two layers."""', '"""Some layers."""'),
    "docstring that is gone": ('        """Make it."""\n', ""),
    "attribute docstring": ("RATE = 0.1", 'RATE = 0.1\n"""Of learning."""'),
    "blank lines": ("\n\n\nclass", "\n\nclass"),
    "parentheses": ("width < 1", "(width < 1)"),
    "quotes": ('"weights"', "'weights'"),
    "broken line": (
        "(width, 10, bias=True)",
        "(\n            width,\n            10,\n            bias=True,\n        )",
    ),
    "message of an exception": ("expected 1 or more", "expected a positive number, got {width!r}"),
    "message of an assertion": ('"unlucky"', 'f"{width} is unlucky"'),
    "message that is said": ('say(f"{width} neurons")', 'say("neurons: " + str(width))'),
    "message with format": ('f"width={width}: expected 1 or more"', '"{}: expected more".format(width)'),
    "message as a keyword": ('ValueError(f"width={width}: expected 1 or more")', 'ValueError(reason="bad")'),
}
OTHER = {
    "number": ("RATE = 0.1", "RATE = 0.2"),
    "kind of number": ("bias=True", "bias=1"),
    "none": ("bias=True", "bias=None"),
    "label of a seed": ('"weights"', '"noise"'),
    "name": ("RATE", "SPEED"),
    "condition": ("width < 1", "width <= 1"),
    "kind of exception": ("ValueError", "TypeError"),
    "value of an exception": ('ValueError(f"width={width}: expected 1 or more")', "ValueError(width)"),
    "what an assertion asserts": ("width != 13", "width != 14"),
    "what is called": ("say(", "print("),
    "base": ("torch.nn.Module", "torch.nn.Sequential"),
    "order": ("width, 10", "10, width"),
    "statement that is gone": ("        super().__init__()\n", ""),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_is_said_to_people_does_not_count(change: tuple[str, str]) -> None:
    assert SOURCE.replace(*change) != SOURCE
    assert digest(SOURCE.replace(*change)) == digest(SOURCE)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_is_said_to_python_counts(change: tuple[str, str]) -> None:
    assert digest(SOURCE.replace(*change)) != digest(SOURCE)


@pytest.mark.parametrize("call", ["MeanSquaredError({})", "nn.GaussError({})", "nn.say({})", "self.say({})"])
def test_what_only_sounds_like_an_exception_takes_no_messages(call: str) -> None:
    assert digest(call.format("'sum'")) != digest(call.format("'mean'"))


@pytest.mark.parametrize("function", ["SettingsError", "errors.DataError", "UserWarning"])
def test_an_exception_that_is_returned_takes_messages_too(function: str) -> None:
    one, other = (f"def refuse(name):\n    return {function}(name, f'{{name}}: {text}')" for text in ("bad", "worse"))
    assert digest(one) == digest(other)
    assert digest(one) != digest(one.replace("(name, f", "(None, f"))


def test_a_string_in_a_call_inside_a_message_counts() -> None:
    assert digest("raise ValueError(look_up('a'))") != digest("raise ValueError(look_up('b'))")


FILES = sorted(Path(__file__).parents[3].glob("components/foundation/training/**/*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files_written_anew_from_their_syntax_stay_the_same(path: Path) -> None:
    """``ast.unparse`` drops comments and writes everything in its own format."""
    source = path.read_text()
    assert digest(ast.unparse(ast.parse(source))) == digest(source)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_in_real_files_every_number_counts(path: Path) -> None:
    source = path.read_text()
    lines = source.splitlines(keepends=True)
    with path.open("rb") as opened:
        numbers = [token for token in tokenize.tokenize(opened.readline) if token.type == tokenize.NUMBER]
    for token in numbers:
        row, column = token.start[0] - 1, token.start[1]
        changed = lines[row][:column] + "7" + lines[row][column:]
        assert digest("".join([*lines[:row], changed, *lines[row + 1 :]])) != digest(source), token


names = st.sampled_from(["a", "b", "p.a"])
contents = st.sampled_from([b"x = 1", b"x = 2", b"", b"not python at all", b"\0\xff"])
trees = st.dictionaries(names, contents, max_size=3)


@given(one=trees, other=trees)
def test_trees_have_the_same_digest_when_they_are_the_same(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (digest_of_source(one) == digest_of_source(other)) == (one == other)
    assert digest_of_source(dict(reversed(one.items()))) == digest_of_source(one)


@given(st.text(), st.text())
def test_text_that_is_a_value_counts(one: str, other: str) -> None:
    assert (digest(f"x = {one!r}") == digest(f"x = {other!r}")) == (one == other)


@pytest.mark.parametrize("content", [b"def f(:", b"\0", b"\xff\xfe", b"x = " + b"(" * 1000, b"-" * 100_000 + b"1"])
def test_of_what_cannot_be_parsed_the_bytes_count(content: bytes) -> None:
    assert digest_of_source({"a": content}) != digest_of_source({"a": content + b"# "})
