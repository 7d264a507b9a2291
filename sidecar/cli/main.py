"""`tallyd`: finds the subcommand and ends with the right exit code.

Subcommands are imported when used and not before, so that `tallyd sidecar` starts without the
terminal and YAML libraries, and `tallyd --help` without any of them.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import click

from sidecar import __version__
from sidecar.cli import interrupts
from sidecar.cli.common import (
    EXIT_CODES_HELP,
    JSON_META,
    CliError,
    ExitCode,
    examples,
    note_json_mode,
)


class Entry(NamedTuple):
    """Where a subcommand lives (`module:attribute`), and its line in the help."""

    target: str
    summary: str


SECTIONS: Final[Mapping[str, Mapping[str, Entry]]] = {
    "Run": {
        "sidecar": Entry("sidecar.cli.sidecar:command", "Run the sidecar."),
        "control": Entry("sidecar.cli.control:command", "Run the control plane."),
        "demo": Entry("sidecar.demo.command:command", "Run the whole system on sample traffic."),
    },
    "Sell": {
        "init": Entry("sidecar.cli.init:command", "Write a catalog to start from."),
        "apply": Entry("sidecar.cli.apply:command", "Bring catalog and companies to a file."),
        "catalog": Entry("sidecar.cli.catalog:command", "Export what is sold."),
        "company": Entry("sidecar.cli.company:command", "Create, list and export companies."),
        "subscription": Entry("sidecar.cli.subscription:command", "Change what a company bought."),
        "grant": Entry("sidecar.cli.grant:command", "Grant a company something of its own."),
        "grants": Entry("sidecar.cli.grants:command", "Show what a company was granted."),
        "revoke": Entry("sidecar.cli.revoke:command", "Take back what was granted."),
        "credits": Entry("sidecar.cli.credits:command", "Grant credits, show balances, refund."),
        "seats": Entry("sidecar.cli.seats:command", "Show who has a seat; give and take seats."),
        "sim": Entry("sidecar.cli.sim:command", "Play a customer's life, by the real rules."),
    },
    "Ask": {
        "check": Entry("sidecar.cli.check:command", "Ask whether a company may use a feature."),
        "usage": Entry("sidecar.cli.usage:command", "Show what was used."),
        "level": Entry("sidecar.cli.level:command", "Show and change what is in use."),
        "entitlements": Entry("sidecar.cli.entitlements:command", "Show what a company may do."),
        "explain": Entry("sidecar.cli.explain:command", "Show why a company may, or may not."),
        "watch": Entry("sidecar.cli.watch:command", "Show what changes for a company, live."),
    },
    "Prove": {
        "replay": Entry("sidecar.cli.replay:command", "Drive recorded traffic through a sidecar."),
        "reconcile": Entry("sidecar.cli.reconcile:command", "Compare sidecar and ledger."),
    },
    "Operate": {
        "status": Entry("sidecar.cli.status:command", "Show what a sidecar is doing."),
        "doctor": Entry("sidecar.cli.doctor:command", "Find out what is wrong."),
        "leases": Entry("sidecar.cli.leases:command", "Show who holds what of exact limits."),
        "flush": Entry("sidecar.cli.flush:command", "Send waiting usage to the control plane."),
        "drain": Entry("sidecar.cli.drain:command", "Get a sidecar ready to stop."),
        "config": Entry("sidecar.cli.config:command", "Show and check settings."),
    },
}
COMMANDS: Final[Mapping[str, Entry]] = {
    name: entry for section in SECTIONS.values() for name, entry in section.items()
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; `None` for a name that is none."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("sidecar"):
                raise
            raise CliError(
                f"{cmd_name} needs the Python package {error.name}, which is not installed",
                reason="MISSING_PACKAGE",
                hint="Install tallyd[control]",
            ) from None
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.target} is not a command")
        interrupts.raise_in_commands()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; the error for another names where it is, or what is near."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            name = error.command_name
            for outer in COMMANDS:
                group = self.get_command(ctx, outer)
                if isinstance(group, click.Group) and name in group.commands:
                    said = f"No such command {name!r}. Did you mean '{outer} {name}'?"
                    raise click.UsageError(said, ctx) from None
            raise click.NoSuchCommand(name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of the help from the table, with no import."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in section.items()])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Complete the name of a subcommand from the table, with no import; and options."""
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; every way out has an exit code of the table."""
        note_json_mode(ctx)
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe or a full disk can still be handled
        except click.UsageError as error:
            if ctx.meta.get(JSON_META):
                raise CliError(error.format_message(), exit_code=ExitCode.USAGE) from None
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            _give_up_output()
            ctx.exit(ExitCode.PIPE_CLOSED)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(ExitCode.INTERRUPTED)
        except OSError as error:
            _give_up_output()
            raise CliError(str(error), reason=errno.errorcode.get(error.errno or 0, "")) from error
        except Exception:
            # A bug of ours. Left to Python it would end with 1, which means "denied".
            traceback.print_exc()
            ctx.exit(ExitCode.FAILED)
        finally:
            interrupts.end_at_once()
        return result


def _give_up_output() -> None:
    """Let go of what is still buffered: it must not fail again when Python closes stdout."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("tallyd demo", "tallyd check acme tokens --quantity 100") + EXIT_CODES_HELP,
)
@click.version_option(__version__, prog_name="tallyd", message="%(prog)s %(version)s")
def main() -> None:
    """Usage enforcement beside the application, with one exact ledger behind it."""
