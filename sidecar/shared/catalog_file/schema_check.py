"""The shape of a catalog file, held against the JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sidecar.shared.catalog_file import suggestions
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
_THOUSANDS: Final = re.compile(r"[0-9]{3}")
_BOOLEANS_OF_YAML_1_1: Final = frozenset({"yes", "no", "on", "off", "y", "n"})


def shape_findings(data: Plain, schema: Callable[[], str] = schema_text) -> Iterator[Finding]:
    """Yield where the data departs from a schema, that of catalog files by default, and how.

    A path ends at the value at fault; of a field that is unknown or missing, in that field.
    """
    of_types: list[tuple[ValidationError, Path]] = []
    out_of_bounds: set[Path] = set()
    for error in _validator(schema).iter_errors(data):
        path = tuple(error.absolute_path)
        if error.validator == "type":
            of_types.append((error, path))
            continue
        if error.validator in ("minimum", "maximum"):
            out_of_bounds.add(path)
        yield from _TELLERS.get(str(error.validator), _as_is)(error, path)
    for error, path in of_types:
        # A number of thousands of digits is not read as a whole one; it is too large, above all.
        if path not in out_of_bounds:
            yield from _type(error, path)


@lru_cache(maxsize=4)  # there are fewer schemas
def _validator(schema: Callable[[], str]) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema()))


def _as_is(error: ValidationError, path: Path) -> Iterator[Finding]:
    yield Finding(path, error.message)


def _bound(error: ValidationError, path: Path) -> Iterator[Finding]:
    side = "less" if error.validator == "minimum" else "more"
    message = f"{shown(error.instance)} is {side} than {error.validator_value}"
    yield Finding(path, message + _meant(suggestions.pattern(error.instance, _schema(error))))


def _too_few(error: ValidationError, path: Path) -> Iterator[Finding]:
    yield Finding(path, "must not be an empty list")


def _type(error: ValidationError, path: Path) -> Iterator[Finding]:
    instance: Any = error.instance
    allowed: Any = error.validator_value
    names = [allowed] if isinstance(allowed, str) else [n for n in allowed if n != "null"]
    schema = _schema(error)
    expected = schema.get("errorMessage") or " or ".join(_TYPE_NAMES[n] for n in names)
    message = f"must be {expected}, is {told(instance)}"
    if names == ["array"] and isinstance(instance, str):
        message += f"; write [{instance}]"
    else:
        message += _meant(suggestions.pattern(instance, schema))
    yield Finding(path, message)


def _pattern(error: ValidationError, path: Path) -> Iterator[Finding]:
    schema = _schema(error)
    message = f"must be {schema['errorMessage']}, is {shown(error.instance)}"
    yield Finding(path, message + _meant(suggestions.pattern(error.instance, schema)))


def _enum(error: ValidationError, path: Path) -> Iterator[Finding]:
    choices: Any = error.validator_value
    message = f"must be one of {', '.join(choices)}; is {told(error.instance)}"
    meant = suggestions.choice(error.instance, choices, _schema(error).get("x-synonyms", {}))
    yield Finding(path, message + _meant(meant))


def _required(error: ValidationError, path: Path) -> Iterator[Finding]:
    # One error a missing field comes from the library, each with the whole list as its value.
    missing = str(error.message).split("'")[1]
    yield Finding((*path, missing), "is missing")


def _dependent(error: ValidationError, path: Path) -> Iterator[Finding]:
    instance: Any = error.instance
    rule: Any = error.validator_value
    needing: dict[str, list[str]] = {}
    for present, needed in rule.items():
        for name in needed:
            if present in instance and name not in instance:
                needing.setdefault(name, []).append(present)
    for name, present in needing.items():
        *others, last = present
        who = f"{', '.join(others)} and {last} need" if others else f"{last} needs"
        yield Finding((*path, name), f"is missing; {who} it")


def _unknown(error: ValidationError, path: Path) -> Iterator[Finding]:
    instance: Any = error.instance
    schema = _schema(error)
    known = list(schema.get("properties", {}))
    for name in instance:
        if name not in known and not name.startswith("x-"):
            meant = suggestions.choice(name, known, schema.get("x-synonyms", {}))
            other = f"known are {', '.join(known)}" if meant is None else f"did you mean {meant}?"
            if _THOUSANDS.fullmatch(name):
                other = "is it the end of a number? Numbers have no commas: 1_000"
            yield Finding((*path, name), f"is not a field here; {other}", at_key=True)


def _meant(word: str | None) -> str:
    return "" if word is None else f"; did you mean {word}?"


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
    "pattern": _pattern,
    "enum": _enum,
    "required": _required,
    "dependentRequired": _dependent,
    "additionalProperties": _unknown,
}
