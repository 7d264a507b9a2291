"""What subcommands share: options, exit codes and errors. Free of grpc; see `servers`."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Final, TypeVar

import click

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.text import is_displayable
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.durations import duration_of_text

DEFAULT_SIDECAR: Final = "unix:/run/tallyd/sidecar.sock"
DEFAULT_CONTROL: Final = "127.0.0.1:7721"

JSON_META: Final = "tallyd.json"
"""Where click's context says whether --json was given."""


class ExitCode(enum.IntEnum):
    """How a command ended, for scripts."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    UNREACHABLE = 3
    FAILED = 4
    INTERRUPTED = 130
    PIPE_CLOSED = 141


EXIT_CODES_HELP: Final = """\b
Exit codes:
  0    done, and the outcome is good
  1    done, and the outcome is not: denied, a difference, a failed check
  2    wrong usage, bad input, or a change that is refused
  3    the server cannot be reached, or did not answer in time
  4    any other failure
  130  interrupted
  141  the reader of the output went away
"""


def examples(*lines: str) -> str:
    """Return an epilog for a command's help; `\\b` keeps click from joining its lines."""
    return "\b\nExamples:\n" + "".join(f"  {line}\n" for line in lines) + "\n"


def printable(text: str) -> str:
    """Escape what could steer the terminal, or turn around what is beside it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if is_displayable(c) else c.encode("unicode_escape").decode() for c in text)


class CliError(click.ClickException):
    """Ends the command: one line on stderr, or one JSON object there with --json.

    `reason` is machine-readable, `field` names the input at fault, `hint` says what to try.
    `lines` are shown before it and not in JSON; `details` are in JSON alone.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: ExitCode = ExitCode.FAILED,
        reason: str = "",
        field: str = "",
        hint: str = "",
        lines: Sequence[str] = (),
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # declared for the class, read here
        self.reason = reason
        self.field = field
        self.hint = hint
        self.lines = lines
        self.details = details or {}
        context = click.get_current_context(silent=True)
        self._as_json = context is not None and bool(context.meta.get(JSON_META))

    def as_dict(self) -> dict[str, object]:
        """Return what --json prints."""
        told = {
            "message": self.message,
            "reason": self.reason,
            "field": self.field,
            "hint": self.hint,
            "exit_code": int(self.exit_code),
            **self.details,
        }
        return {"error": {name: value for name, value in told.items() if value != ""}}

    def format_message(self) -> str:
        """Return the line for people."""
        line = self.message
        if self.field and not line.startswith(self.field):
            line = f"{self.field}: {line}"
        if self.reason:
            line += f" ({self.reason})"
        return f"{line}. {self.hint}" if self.hint else line

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        if self._as_json:
            click.echo(json.dumps(self.as_dict(), ensure_ascii=False), err=True)
            return
        for line in self.lines:
            click.echo(printable(line), err=True)
        line = printable(self.format_message())
        click.echo(f"{click.style('error:', fg='red')} {line}", err=True)


def note_json_mode(context: click.Context) -> None:
    """Remember whether --json was given, also for errors that come before it is parsed."""
    context.meta[JSON_META] = "--json" in context.args


# --- options

F = TypeVar("F", bound=Callable[..., Any])
_SECONDS: Final = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)


class PairType(click.ParamType[tuple[str, str]]):
    """`key=value`."""

    name = "pair"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split it at the first equals sign."""
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, text


class DurationType(click.ParamType[float]):
    """A positive length of time, as in files, or a number of seconds; the value is in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse it."""
        if isinstance(value, int | float):
            return float(value)
        text = value.strip()
        try:
            length_us = duration_of_text(f"{text}s" if _SECONDS.fullmatch(text) else text)
        except ValueError:
            length_us = 0
        if length_us <= 0:
            self.fail(f"{value!r} is not a duration such as 5, 500ms, 1.5s or 2m", param, ctx)
        return length_us / SECOND_US


class AddressType(click.ParamType[str]):
    """A gRPC address: `unix:PATH`, `HOST:PORT` or `dns:///HOST:PORT`."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check its shape."""
        from sidecar.shared.config.addresses import check_target

        text = str(value)
        try:
            check_target(text)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not text:
            self.fail("must not be empty", param, ctx)
        return text


def quantity_option(command: F) -> F:
    """Add --quantity; the parameter is `quantity`."""
    return click.option(
        "-n",
        "--quantity",
        type=click.IntRange(0, INT64_MAX),
        default=1,
        show_default=True,
        help="Quantity in the feature's unit.",
    )(command)


def dimension_option(command: F) -> F:
    """Add --dimension; the parameter is `dimensions`, pairs of names and values."""
    return click.option(
        "-d",
        "--dimension",
        "dimensions",
        type=PairType(),
        multiple=True,
        metavar="KEY=VALUE",
        help="Attribute of the usage; may come several times.",
    )(command)


def sidecar_option(command: F) -> F:
    """Add --sidecar; the parameter is `sidecar_address`."""
    return click.option(
        "--sidecar",
        "sidecar_address",
        type=AddressType(),
        metavar="ADDRESS",
        envvar="TALLYD_SIDECAR",
        default=DEFAULT_SIDECAR,
        show_default=True,
        show_envvar=True,
        help="Sidecar to ask: unix:/path or host:port.",
    )(command)


def control_option(command: F) -> F:
    """Add --control; the parameter is `control_address`."""
    return click.option(
        "--control",
        "control_address",
        type=AddressType(),
        metavar="ADDRESS",
        envvar="TALLYD_CONTROL",
        is_eager=True,  # what other options mean may have to be asked there
        default=DEFAULT_CONTROL,
        show_default=True,
        show_envvar=True,
        help="Control plane to ask: unix:/path or host:port.",
    )(command)


def timeout_option_of(default: str) -> Callable[[F], F]:
    """Add --timeout with this default; the parameter is `timeout_s`, seconds a call."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=DurationType(),
        metavar="DURATION",
        default=default,
        show_default=True,
        help="Longest wait for an answer, such as 500ms or 2m.",
    )


timeout_option = timeout_option_of("10s")


def json_option(command: F) -> F:
    """Add --json; the parameter is `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print one JSON object; an error is one too, on stderr.",
    )(command)
