"""What a source file says to Python, without what it says to people."""

import ast
import builtins
import functools
import hashlib
from collections.abc import Iterable, Mapping

from sanefit.components.foundation import errors

SAYS = "say"  # the function that prints a step's line
# A network may have a MeanSquaredError of its own, whose text says what it does.
EXCEPTIONS = frozenset(
    name
    for module in (builtins, errors)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # compiled, or broken, or nested too deeply


def digest_of_source(sources: Mapping[str, bytes]) -> str:
    """SHA-256, in hex, of the syntax of files, by name.

    Comments, docstrings and formatting do not count, nor does the text of messages: strings given to an exception, to
    ``say(...)`` or to ``assert``. Everything else does. Of a file that cannot be parsed, the bytes count.
    """
    digest = hashlib.sha256()
    for name, content in sorted(sources.items()):
        meaning = _meaning(content)
        digest.update(f"{name}\0{len(meaning)}\0".encode() + meaning)
    return digest.hexdigest()


@functools.cache
def _meaning(content: bytes) -> bytes:
    written: list[str] = []
    try:
        _write(ast.parse(content), written)
    except UNPARSABLE:
        return content
    return "".join(written).encode("utf-8", "surrogatepass")


def _write(value: object, written: list[str]) -> None:
    """A piece of syntax as text, without what says nothing to Python: a field that is empty is left out."""
    if isinstance(value, ast.AST):
        written.append(f"{type(value).__name__}(")
        for name, part in _fields(value):
            if part is not None and part != []:
                written.append(f"{name}=")
                _write(part, written)
        written.append(")")
    elif isinstance(value, list):
        written.append("[")
        for part in value:
            _write(part, written)
        written.append("]")
    else:
        written.append(f"{value!r},")


def _fields(node: ast.AST) -> Iterable[tuple[str, object]]:
    match node:
        case ast.Raise(exc=ast.Call(func=func) as call, cause=cause):
            return [("exc", func), *_without_messages(call), ("cause", cause)]
        case ast.Call(func=func) if _takes_messages(func):
            return [("func", func), *_without_messages(node)]
        case ast.Assert(test=test):
            return [("test", test)]
        case ast.Constant(value=value):
            return [("value", [value])]  # in a list: None is a value here
    return [(name, _without_docstrings(part)) for name, part in ast.iter_fields(node)]


def _takes_messages(func: ast.expr) -> bool:
    """Whether a message is given to it: it is called say, or is an exception of Python or of sanefit by its name."""
    if isinstance(func, ast.Attribute):
        return func.attr in EXCEPTIONS
    return isinstance(func, ast.Name) and (func.id == SAYS or func.id in EXCEPTIONS)


def _without_messages(call: ast.Call) -> list[tuple[str, object]]:
    args = [value for value in call.args if not _is_text(value)]
    keywords = [keyword for keyword in call.keywords if not _is_text(keyword.value)]
    return [("args", args), ("keywords", keywords)]


def _is_text(value: ast.expr) -> bool:
    """Whether an expression gives a text that is written right there."""
    match value:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, right=right):
            return _is_text(left) or _is_text(right)
        case ast.IfExp(body=body, orelse=other):
            return _is_text(body) and _is_text(other)
        case ast.Call(func=ast.Attribute(value=left)):
            return _is_text(left)
        case _:
            return False


def _without_docstrings(part: object) -> object:
    """A text that is a statement by itself does nothing, wherever it stands."""
    return [one for one in part if not _is_docstring(one)] if isinstance(part, list) else part


def _is_docstring(part: object) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and isinstance(part.value.value, str)
