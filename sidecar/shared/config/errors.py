"""What is wrong with a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence


class SettingProblem(Struct, frozen=True):
    """One thing to repair: where it was said, the field, and what is wrong with it."""

    source: str
    """A flag, an environment variable or a file, as its user would write it."""
    field: str
    """The field's name; "" where the source as a whole is at fault."""
    message: str

    def __str__(self) -> str:
        where = f"{self.source}: {self.field}" if self.field else self.source
        return f"{where}: {self.message}"


class ConfigError(ValueError):
    """The configuration cannot be used; `problems` holds every reason, one line each.

    `loaded`: what was read all the same, where each value is right by itself.
    """

    def __init__(self, problems: Sequence[SettingProblem], loaded: Any = None) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.loaded = loaded
