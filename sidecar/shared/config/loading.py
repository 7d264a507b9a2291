"""Reading a configuration from its sources, once.

In rising order: defaults, a TOML file, environment variables, command-line flags. Every source is
checked whole, also where a higher one overrides it: a mistake is reported, not hidden.
"""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Final, Generic, TypeVar

from msgspec import Struct

from sidecar.domain.nearest import nearest
from sidecar.shared.config.errors import ConfigError, SettingProblem
from sidecar.shared.config.fields import PREFIX, SettingField, Value, fields
from sidecar.shared.config.settings import ControlConfig, SidecarConfig

FILE_BYTES_MAX: Final = 1024 * 1024
FILE_FLAG: Final = "config"
FILE_VARIABLE: Final = PREFIX + "CONFIG"

_SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "sidecar": SidecarConfig,
    "control": ControlConfig,
}
_OTHER_VARIABLES: Final = frozenset({FILE_VARIABLE, PREFIX + "SIDECAR", PREFIX + "SHARED"})
"""Variables of the prefix that no field owns: this file, the command line's, the tests'."""

_ALTERNATIVES: Final[Mapping[type[Struct], tuple[str, str]]] = {
    SidecarConfig: ("control", "standalone")
}
"""Fields of which only one can be set. Where both are, that of the higher source is; where one
source sets both, it is a mistake."""

_HOST: Final = "_SERVICE_HOST"

ConfigT = TypeVar("ConfigT", bound=Struct)
ReadText = Callable[[str], str]


class SettingSourceKind(Enum):
    """Where a value came from; later ones win."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


class SettingSource(Struct, frozen=True):
    """Where a field's value came from."""

    kind: SettingSourceKind
    name: str
    """The file's path, the variable or the flag; "default" for a default."""


_KINDS: Final = list(SettingSourceKind)
_DEFAULT: Final = SettingSource(SettingSourceKind.DEFAULT, "default")


class SetAside(Struct, frozen=True):
    """A value that gave way to its alternative, which a higher source had set."""

    field: str
    source: SettingSource
    by: SettingSource


class Loaded(Struct, Generic[ConfigT], frozen=True):
    """A configuration, where each of its values came from, and what gave way."""

    config: ConfigT
    sources: Mapping[str, SettingSource]
    """By field name; every field is there."""
    set_aside: tuple[SetAside, ...] = ()


class _Given(Struct):
    """Values as the sources gave them, and all that is wrong with them."""

    values: dict[str, Value]
    sources: dict[str, SettingSource]
    problems: list[SettingProblem]


def load_sidecar_config(
    flags: Mapping[str, object], environ: Mapping[str, str], read_text: ReadText | None = None
) -> Loaded[SidecarConfig]:
    """Load the sidecar's configuration.

    `flags` go by field name, with "config" for the file; None means not given. `read_text` returns
    a file's content. Raises ConfigError with every problem that was found.
    """
    return _load("sidecar", SidecarConfig, _sidecar_problems, flags, environ, read_text)


def _sidecar_problems(loaded: Loaded[SidecarConfig]) -> Iterator[SettingProblem]:
    """Yield what is wrong between fields that are right each by itself."""
    config, sources = loaded.config, loaded.sources
    if config.control and config.standalone:
        names = dict.fromkeys((sources["control"].name, sources["standalone"].name))
        both = " and ".join(names)
        yield SettingProblem(both, "", "set only one of control and standalone")
    if not config.control and not config.standalone:
        message = "set the control plane's address with --control, or a catalog with --standalone"
        yield SettingProblem("configuration", "control", message)
    if not config.socket_path and not config.listen:
        message = "empty, as socket_path is: nothing could call the sidecar"
        yield SettingProblem(sources["listen"].name, "listen", message)


def load_control_config(
    flags: Mapping[str, object], environ: Mapping[str, str], read_text: ReadText | None = None
) -> Loaded[ControlConfig]:
    """Load the control plane's configuration; as `load_sidecar_config`."""
    return _load("control", ControlConfig, _control_problems, flags, environ, read_text)


def _control_problems(loaded: Loaded[ControlConfig]) -> Iterator[SettingProblem]:
    if not loaded.config.listen:
        message = "empty: nothing could call the control plane"
        yield SettingProblem(loaded.sources["listen"].name, "listen", message)


def _load(
    section: str,
    config: type[ConfigT],
    problems_between: Callable[[Loaded[ConfigT]], Iterator[SettingProblem]],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    read_text: ReadText | None,
) -> Loaded[ConfigT]:
    known = {field.name: field for field in fields(config)}
    given = _Given({}, dict.fromkeys(known, _DEFAULT), [])
    path = flags.get(FILE_FLAG) or environ.get(FILE_VARIABLE)
    if path:
        _take_file(given, known, str(path), section, read_text or _read_file)
    _take_environment(given, known, environ)
    _take_flags(given, known, flags)
    set_aside = tuple(_set_aside(given, config))
    if given.problems:
        raise ConfigError(given.problems)
    loaded = Loaded(config(**given.values), given.sources, set_aside)
    if problems := list(problems_between(loaded)):
        raise ConfigError(problems, loaded)
    return loaded


def _set_aside(given: _Given, config: type[Struct]) -> Iterator[SetAside]:
    """Take back what a lower source has set, where a higher one has set the alternative."""
    fields_set = [name for name in _ALTERNATIVES.get(config, ()) if given.values.get(name)]
    rising = sorted(fields_set, key=lambda name: _KINDS.index(given.sources[name].kind))
    if len(rising) < 2:
        return
    lower, higher = (given.sources[name] for name in rising)
    if lower.kind is not higher.kind:
        yield SetAside(rising[0], lower, higher)
        del given.values[rising[0]]
        given.sources[rising[0]] = _DEFAULT


def _take(given: _Given, field: SettingField, value: object, source: SettingSource) -> None:
    try:
        parsed = field.parse(value, from_text=source.kind is not SettingSourceKind.FILE)
    except ValueError as error:
        given.problems.append(SettingProblem(source.name, field.name, str(error)))
        return
    given.values[field.name] = parsed
    given.sources[field.name] = source


def _take_file(
    given: _Given, known: Mapping[str, SettingField], path: str, section: str, read_text: ReadText
) -> None:
    try:
        tables = tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        given.problems.append(SettingProblem(path, "", _reason(error)))
        return
    source = SettingSource(SettingSourceKind.FILE, path)
    for name in tables.keys() - _SECTIONS.keys():
        message = f"unknown; settings stand under {' or '.join(f'[{name}]' for name in _SECTIONS)}"
        given.problems.append(SettingProblem(path, name, message))
    table = tables.get(section, {})
    if not isinstance(table, dict):
        given.problems.append(SettingProblem(path, section, f"must be a table: [{section}]"))
        return
    for name, value in table.items():
        if name in known:
            _take(given, known[name], value, source)
        else:
            given.problems.append(SettingProblem(path, f"{section}.{name}", _unknown(name, known)))


def _take_environment(
    given: _Given, known: Mapping[str, SettingField], environ: Mapping[str, str]
) -> None:
    by_variable = {field.variable: field for field in known.values()}
    others = _OTHER_VARIABLES | {
        f.variable for config in _SECTIONS.values() for f in fields(config)
    }
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        source = SettingSource(SettingSourceKind.ENVIRONMENT, variable)
        if variable in by_variable:
            _take(given, by_variable[variable], environ[variable], source)
        elif variable not in others and not _is_service_link(variable, environ):
            given.problems.append(SettingProblem(variable, "", _unknown(variable, by_variable)))


def _is_service_link(variable: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes set `variable`, as TALLYD_X_PORT for a service "tallyd-x"."""
    return any(
        variable.startswith((f"{service}_SERVICE_", f"{service}_PORT"))
        for service in (name.removesuffix(_HOST) for name in environ if name.endswith(_HOST))
    )


def _take_flags(
    given: _Given, known: Mapping[str, SettingField], flags: Mapping[str, object]
) -> None:
    for name, value in flags.items():
        if value is None or name == FILE_FLAG:
            continue
        if name not in known:
            raise TypeError(f"no field is called {name!r}")  # our own command line's mistake
        _take(given, known[name], value, SettingSource(SettingSourceKind.FLAG, known[name].flag))


def _unknown(name: str, known: Mapping[str, SettingField]) -> str:
    close = nearest(name, known)
    return f"unknown; did you mean {close}?" if close else "unknown"


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return f"is not TOML: {error}"


def _read_file(path: str) -> str:
    """Return a file's text; OSError, or ValueError where it is not UTF-8."""
    with Path(path).open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise OSError(errno.EFBIG, f"larger than {FILE_BYTES_MAX} bytes")
    return content.decode()
