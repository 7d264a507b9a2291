"""`tallyd config`: shows settings and where they come from, checks them, prints schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import click
import msgspec

from sidecar.cli import output
from sidecar.cli.common import F, examples, json_option
from sidecar.cli.output import NOTHING, Cell, Painted
from sidecar.cli.settings import config_error, environment
from sidecar.shared.catalog_file.schema import schema_text
from sidecar.shared.config import (
    ConfigError,
    ControlConfig,
    Loaded,
    SettingProblem,
    SettingSourceKind,
    SidecarConfig,
    fields,
    load_control_config,
    load_sidecar_config,
)

Daemon = Literal["sidecar", "control"]
DAEMONS: Final[tuple[Daemon, ...]] = ("sidecar", "control")
_CONFIGS: Final[Mapping[Daemon, type[msgspec.Struct]]] = {
    "sidecar": SidecarConfig,
    "control": ControlConfig,
}
_SECRET_ENDINGS: Final = ("_secret", "_token", "_password", "_private_key")
_MASK: Final = "********"


class Setting(NamedTuple):
    """One effective setting. `source` is default, file, environment or flag; `origin` names it."""

    name: str
    value: str | int | bool
    source: str
    origin: str


@click.group(
    epilog=examples(
        "tallyd config show",
        "tallyd config check tallyd.toml",
        "tallyd config schema > catalog.schema.json",
    ),
)
def command() -> None:
    """Show and check settings of `tallyd sidecar` and `tallyd control`."""


def daemon_argument(function: F) -> F:
    """Add the argument that names one daemon; both are meant where it is left out."""
    return click.argument("daemon", type=click.Choice(DAEMONS), required=False)(function)


def set_options(function: F) -> F:
    """Add --set, for what would be given as flags."""
    return click.option(
        "--set",
        "given",
        multiple=True,
        metavar="NAME=VALUE",
        help="As if the daemon got this flag; may come several times.",
    )(function)


@command.command(
    epilog=examples(
        "tallyd config show control",
        "tallyd config show sidecar --set control=127.0.0.1:7721 --json",
    )
)
@daemon_argument
@click.option("--config", "file", metavar="FILE", help="Settings file. [env: TALLYD_CONFIG]")
@set_options
@json_option
def show(daemon: Daemon | None, file: str | None, given: tuple[str, ...], as_json: bool) -> None:
    """Show every setting with its value and its source. Secrets are masked.

    What a daemon still needs to start is told below. Ends with 2 and all the problems when a value
    cannot be used.
    """
    shown: dict[str, list[Setting]] = {}
    problems: dict[SettingProblem, None] = {}  # a set that keeps its order
    needed: list[str] = []
    for name in _daemons(daemon):
        try:
            loaded = _load(name, file, given)
        except ConfigError as error:
            if error.loaded is None:
                problems.update(dict.fromkeys(error.problems))
                continue
            loaded = error.loaded
            needed += [f"{name} does not start as it is: {found}" for found in error.problems]
        shown[name] = list(_settings(loaded))
    if as_json and not problems:
        output.print_json({name: _json(settings) for name, settings in shown.items()})
    elif not as_json:
        for title, settings in shown.items():
            output.print_line(output.paint(f"[{title}]", "cyan"))
            output.print_table(("setting", "value", "source", "from"), map(_row, settings))
    for line in needed:
        click.echo(f"note: {line}", err=True)
    if problems:
        raise config_error(ConfigError(list(problems)))


@command.command(
    epilog=examples("tallyd config check tallyd.toml", "tallyd config check --for control")
)
@click.argument("file", required=False)
@click.option("--for", "daemon", type=click.Choice(DAEMONS), help="Check for this daemon alone.")
@set_options
@json_option
def check(daemon: Daemon | None, file: str | None, given: tuple[str, ...], as_json: bool) -> None:
    """Check the settings that FILE, the environment and the defaults make up.

    Ends with 2 and all the problems when they cannot be used.
    """
    problems: dict[SettingProblem, None] = {}  # a set that keeps its order
    for name in _daemons(daemon):
        try:
            _load(name, file, given)
        except ConfigError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise config_error(ConfigError(list(problems)))
    checked = _daemons(daemon)
    if as_json:
        output.print_json({"valid": True, "checked": checked})
    else:
        output.print_line(f"good for {' and '.join(checked)}")


@command.command()
def schema() -> None:
    """Print the JSON Schema of catalog files, for editors and other checks."""
    output.print_line(schema_text().rstrip())


def _daemons(daemon: Daemon | None) -> tuple[Daemon, ...]:
    return (daemon,) if daemon else DAEMONS


def _settings(loaded: Loaded[SidecarConfig] | Loaded[ControlConfig]) -> Iterator[Setting]:
    values = msgspec.structs.asdict(loaded.config)
    for name, source in loaded.sources.items():
        value = _MASK if name.endswith(_SECRET_ENDINGS) and values[name] else values[name]
        yield Setting(name, value, source.kind.value, source.name)


def _load(
    daemon: Daemon, file: str | None, given: tuple[str, ...]
) -> Loaded[SidecarConfig] | Loaded[ControlConfig]:
    """Load as the daemon itself would. Raises `ConfigError`."""
    known = {field.name for field in fields(_CONFIGS[daemon])}
    flags = {name: value for name, value in _flags(given).items() if name in known}
    load = load_sidecar_config if daemon == "sidecar" else load_control_config
    return load({**flags, "config": file}, environment())


def _flags(given: tuple[str, ...]) -> dict[str, str]:
    known = {field.name for config in _CONFIGS.values() for field in fields(config)}
    flags = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name.replace("-", "_") not in known:
            raise click.UsageError(f"--set {pair}: is not NAME=VALUE with the name of a setting")
        flags[name.replace("-", "_")] = value
    return flags


def _json(settings: list[Setting]) -> dict[str, object]:
    return {s.name: {"value": s.value, "source": s.source, "from": s.origin} for s in settings}


def _row(setting: Setting) -> list[Cell]:
    changed = setting.source != SettingSourceKind.DEFAULT.value
    value = NOTHING if setting.value == "" else str(setting.value)
    return [
        setting.name,
        Painted(value, "green") if changed else value,
        setting.source,
        setting.origin if changed else None,
    ]
