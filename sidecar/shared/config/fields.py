"""The fields of a configuration: what each may hold, and how one value is read.

A configuration is a frozen `msgspec.Struct`. Its annotations are the only description of a field:
`Literal` lists choices, and `Meta` carries bounds, the description and, as `extra={"check": f}`,
a function that raises ValueError for a text that the field cannot take.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from sidecar.shared.config.units import example_of_unit, number_of_text, unit_of_name

PREFIX: Final = "TALLYD_"
TEXT_BYTES_MAX: Final = 4096
_SHOWN_CHARACTERS_MAX: Final = 80

Value = str | int


class SettingField(Struct, frozen=True):
    """One field of a configuration, for `tallyd config` and for command-line options.

    `choices` lists all values of a choice; `minimum` and `maximum` bound a number.
    """

    name: str
    type: type[str] | type[int]
    default: Value
    description: str
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 0
    check: Callable[[str], None] | None = None

    @property
    def flag(self) -> str:
        """The command-line option."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    def parse(self, value: object, *, from_text: bool) -> Value:
        """Return `value` if the field may hold it; ValueError says what it must be instead.

        With `from_text`, a number may come as its decimal digits, as from an environment. One whose
        name has a unit may come as a text with another one, such as `4GiB`.
        """
        said = value
        if self.type is int and isinstance(value, str):
            counted = number_of_text(value, unit_of_name(self.name))
            said = value if counted is None else counted
        try:
            parsed: Value = msgspec.convert(said, self.type, strict=not from_text)
        except msgspec.ValidationError:
            raise ValueError(self._refusal(value)) from None
        if not self._holds(parsed):
            raise ValueError(self._refusal(value))
        if self.check is not None and isinstance(parsed, str):
            self.check(parsed)
        return parsed

    def expected(self) -> str:
        """Say in words what the field holds."""
        if self.choices:
            return " or ".join(f'"{choice}"' for choice in self.choices)
        if self.type is str:
            return f"text of at most {TEXT_BYTES_MAX} bytes"
        example = example_of_unit(unit_of_name(self.name))
        units = f" (or with a unit, such as {example})" if example else ""
        return f"a whole number from {self.minimum} to {self.maximum}{units}"

    def _holds(self, parsed: Value) -> bool:
        if isinstance(parsed, int):
            return self.minimum <= parsed <= self.maximum
        if self.choices:
            return parsed in self.choices
        try:
            return len(parsed.encode()) <= TEXT_BYTES_MAX
        except UnicodeEncodeError:  # an environment's bytes that are not UTF-8
            return False

    def _refusal(self, value: object) -> str:
        shown = repr(value)
        if len(shown) > _SHOWN_CHARACTERS_MAX:
            shown = shown[:_SHOWN_CHARACTERS_MAX] + "..."
        return f"must be {self.expected()}, not {shown}"


@cache
def fields(config: type[Struct]) -> tuple[SettingField, ...]:
    """Describe the fields of a configuration, in the order of their declaration."""
    hints = get_type_hints(config, include_extras=True)
    return tuple(
        _field(info.name, hints[info.name], _default(info))
        for info in msgspec.structs.fields(config)
    )


def _default(info: msgspec.structs.FieldInfo) -> Value:
    default: Value = info.default if info.default is not NODEFAULT else info.default_factory()
    return default


def _field(name: str, hint: Any, default: Value) -> SettingField:
    """Read one annotation; TypeError where a declaration lacks what readers rely on."""
    held, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    found: dict[str, Any] = {}
    for meta in metas:
        said = {"description": meta.description, "minimum": meta.ge, "maximum": meta.le}
        said |= meta.extra or {}
        found |= {key: value for key, value in said.items() if value is not None}
    choices = get_args(held) if get_origin(held) is Literal else ()
    required = {"description", "minimum", "maximum"} if held is int else {"description"}
    if missing := required - found.keys():
        raise TypeError(f"the field {name} lacks its {', '.join(sorted(missing))}")
    type_ = str if choices else held
    return SettingField(name=name, type=type_, default=default, choices=choices, **found)
