"""The shape of a catalog file, held against the JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sidecar.shared.catalog_file.problems import Finding, Path, shown
from sidecar.shared.catalog_file.schema import schema_text
from sidecar.shared.catalog_file.yaml_tree import Plain

_TYPE_NAMES: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_BOOLEANS_OF_YAML_1_1: Final = frozenset({"yes", "no", "on", "off", "y", "n"})


def shape_findings(data: Plain, schema: Callable[[], str] = schema_text) -> Iterator[Finding]:
    """Yield where the data departs from a schema, that of catalog files by default, and how.

    A path ends at the value at fault; of a field that is unknown or missing, in that field.
    """
    for error in _validator(schema).iter_errors(data):
        path = tuple(error.absolute_path)
        yield from _TELLERS.get(str(error.validator), _as_is)(error, path)


@lru_cache(maxsize=4)  # there are fewer schemas
def _validator(schema: Callable[[], str]) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema()))


def _as_is(error: ValidationError, path: Path) -> Iterator[Finding]:
    yield Finding(path, error.message)


def _bound(error: ValidationError, path: Path) -> Iterator[Finding]:
    side = "less" if error.validator == "minimum" else "more"
    yield Finding(path, f"{shown(error.instance)} is {side} than {error.validator_value}")


def _too_few(error: ValidationError, path: Path) -> Iterator[Finding]:
    yield Finding(path, "must not be an empty list")


def _type(error: ValidationError, path: Path) -> Iterator[Finding]:
    instance: Any = error.instance
    allowed: Any = error.validator_value
    names = [allowed] if isinstance(allowed, str) else [n for n in allowed if n != "null"]
    expected = _schema(error).get("errorMessage") or " or ".join(_TYPE_NAMES[n] for n in names)
    yield Finding(path, f"must be {expected}, is {told(instance)}")


def _pattern(error: ValidationError, path: Path) -> Iterator[Finding]:
    message = f"must be {_schema(error)['errorMessage']}, is {shown(error.instance)}"
    yield Finding(path, message)


def _enum(error: ValidationError, path: Path) -> Iterator[Finding]:
    choices: Any = error.validator_value
    message = f"must be one of {', '.join(choices)}; is {told(error.instance)}"
    yield Finding(path, message)


def _required(error: ValidationError, path: Path) -> Iterator[Finding]:
    # One error a missing field comes from the library, each with the whole list as its value.
    missing = str(error.message).split("'")[1]
    yield Finding((*path, missing), "is missing")


def _dependent(error: ValidationError, path: Path) -> Iterator[Finding]:
    instance: Any = error.instance
    rule: Any = error.validator_value
    for present, needed in rule.items():
        for name in needed:
            if present in instance and name not in instance:
                yield Finding((*path, name), f"is missing; {present} needs it")


def _unknown(error: ValidationError, path: Path) -> Iterator[Finding]:
    instance: Any = error.instance
    known = list(_schema(error).get("properties", {}))
    for name in instance:
        if name not in known and not name.startswith("x-"):
            close = get_close_matches(name, known, n=1)
            other = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            yield Finding((*path, name), f"is not a field here; {other}", at_key=True)


def _schema(error: ValidationError) -> dict[str, Any]:
    schema: Any = error.schema
    return dict(schema)


def told(instance: object) -> str:
    """Say what a value is, for a message."""
    if isinstance(instance, dict):
        return "a mapping"
    if isinstance(instance, list):
        return "a list"
    if instance is None:
        return "empty"
    if isinstance(instance, bool):
        return str(instance).lower()
    if isinstance(instance, str) and instance.lower() in _BOOLEANS_OF_YAML_1_1:
        return f"the text {instance!r}"
    return shown(instance)


_TELLERS: Final[dict[str, Callable[[ValidationError, Path], Iterator[Finding]]]] = {
    "minimum": _bound,
    "maximum": _bound,
    "minItems": _too_few,
    "type": _type,
    "pattern": _pattern,
    "enum": _enum,
    "required": _required,
    "dependentRequired": _dependent,
    "additionalProperties": _unknown,
}
