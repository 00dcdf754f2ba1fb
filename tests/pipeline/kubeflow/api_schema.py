"""What the API document says of requests, taken from the client that is generated from it."""

import inspect
import re
from datetime import datetime
from typing import Any

import kfp_server_api
from kfp_server_api import models

PRIMITIVES: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "float": (int, float), "int": (int, str)}


class SchemaError(Exception):
    """A request does not fit the document."""


def check(value: Any, kind: str, where: str = "body") -> None:
    """Raise SchemaError unless a JSON value has a type of the document, as in ``list[V2beta1Run]``."""
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        _require(isinstance(value, list), where, "a list", value)
        for item in value:
            check(item, match[1], f"{where}[]")
    elif match := re.fullmatch(r"dict\(([^,]*), (.*)\)", kind):
        _require(isinstance(value, dict), where, "an object", value)
        for key, item in value.items():
            check(item, match[2], f"{where}.{key}")
    elif kind in PRIMITIVES:
        fits = isinstance(value, PRIMITIVES[kind]) and (kind == "bool" or not isinstance(value, bool))
        _require(fits, where, kind, value)
    elif kind == "datetime":
        _require(isinstance(value, str), where, "a time", value)
        datetime.fromisoformat(value)
    elif kind != "object":
        _check_model(value, getattr(models, kind), where)


def _check_model(value: Any, model: Any, where: str) -> None:
    if not model.openapi_types:  # an enumeration
        _require(value in model.allowable_values, where, f"one of {model.allowable_values}", value)
        return
    _require(isinstance(value, dict), where, "an object", value)
    fields = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    for key, item in value.items():
        _require(key in fields, where, f"one of {sorted(fields)}", key)
        check(item, fields[key], f"{where}.{key}")


def _require(holds: bool, where: str, expected: str, value: Any) -> None:
    if not holds:
        raise SchemaError(f"{where}: {value!r}; expected {expected}")


def operations() -> dict[tuple[str, str], tuple[set[str], str | None]]:
    """By HTTP method and path: the query parameters, and the parameter that is the body."""
    found = {}
    for name, api in inspect.getmembers(kfp_server_api, inspect.isclass):
        if not name.endswith("ServiceApi"):
            continue
        for operation, method in inspect.getmembers(api, inspect.isfunction):
            if operation.endswith("_with_http_info"):
                source = inspect.getsource(method)
                path, verb = re.search(r"call_api\(\s*'([^']+)', '([A-Z]+)'", source).groups()  # type: ignore[union-attr]
                query = set(re.findall(r"query_params\.append\(\('([^']+)'", source))
                body = re.search(r"body_params = local_var_params\['([^']+)'\]", source)
                found[verb, path] = (query, body[1] if body else None)
    return found
