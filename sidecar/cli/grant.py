"""`tallyd grant`: grants a company something of its own, beside what it bought."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import CliError, ExitCode, examples
from sidecar.cli.completion import complete_feature
from sidecar.cli.grant_values import Meant, change_text, entitlement_of
from sidecar.cli.servers import connect
from sidecar.cli.subscription_calls import Call, change_options, company_argument, until_option
from sidecar.cli.times import until as told_until
from sidecar.shared.api_json import instant_of, json_of_message
from sidecar.shared.wall_clock import wall_us

_FIELDS: Final = {
    "limit": "limit_changes[0]",
    "rate": "rate_changes[0]",
    "overdraft": "overdraft_change",
}
_BELOW_ZERO: Final = re.compile(r"-[0-9][0-9_,]*")


class _Grant(click.Command):
    """Takes amounts below 0 for the mistakes that they are, and not for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them; raises `UsageError` for an amount below 0."""
        for text in args:
            if _BELOW_ZERO.fullmatch(text):
                raise click.UsageError(
                    f"{text} is no amount such as +100, 5000 or unlimited: to take something away, "
                    "give the amount that is left",
                    ctx,
                )
        return super().parse_args(ctx, args)


@click.command(
    cls=_Grant,
    epilog=examples(
        'tallyd grant acme tokens +100 --limit monthly --until fri --reason "sales promised it"',
        "tallyd grant acme tokens unlimited --limit monthly --until +7d",
        "tallyd grant acme sso on",
    ),
)
@company_argument
@click.argument("feature", shell_complete=complete_feature)
@click.argument("value")
@click.option("--limit", metavar="NAME", help="Limit that is meant; left out where there is one.")
@click.option("--rate", metavar="NAME", help="Rate that is meant, in place of a limit.")
@click.option("--overdraft", is_flag=True, help="How much of a balance may be owed is meant.")
@until_option("--until", "When it ends; left out: when it is revoked.")
@click.option("--reason", metavar="TEXT", help="Why, for people; asked for on a terminal.")
@click.option("--id", "id_", metavar="ID", default="", help="Id, so that a retry grants it once.")
@change_options
def command(
    call: Call,
    feature: str,
    value: str,
    limit: str | None,
    rate: str | None,
    overdraft: bool,
    until: Timestamp | None,
    reason: str | None,
    id_: str,
) -> None:
    """Grant COMPANY something of FEATURE beside what it has bought; all else stays as it is.

    VALUE is +100 (on top of the limit), 5000 (in place of its amount) or unlimited; on or off for a
    boolean feature, and the value for a config one.
    """
    if (limit is not None) + (rate is not None) + overdraft > 1:
        raise click.UsageError("--limit, --rate and --overdraft exclude each other")
    with _named_as_given(), connect("control", call.address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        meant = Meant(limit, rate, overdraft=overdraft)
        entitlement = entitlement_of(stub, call, feature, value, meant)
        entitlement.id = id_
        request = control_pb2.GrantOverrideRequest(
            company=call.company,
            entitlement=entitlement,
            expires_at=until,
            reason=_reason(call) if reason is None else reason,
            dry_run=call.dry_run,
        )
        answer = stub.GrantOverride(request, timeout=call.timeout_s)
    if call.as_json:
        output.print_json({**json_of_message(answer), "dry_run": call.dry_run})
        return
    told = f"{change_text(answer.override.entitlement)}{_ends(answer.override)}"
    company = output.printable(call.company)
    what = f"{company}: {output.printable(feature)}: {output.printable(told)}"
    if call.dry_run:
        output.print_line(f"dry run, nothing was granted; would be: {what}")
    else:
        id_ = answer.override.entitlement.id
        output.print_line(f"{what}; granted as {id_}; revision {answer.revision}")


@contextmanager
def _named_as_given() -> Iterator[None]:
    """Name what is at fault as it is given here, and not as the API has it."""
    try:
        yield
    except CliError as error:
        for name, field in _FIELDS.items():
            if error.field == f"entitlement.{field}":
                message = error.message.removeprefix(f"{error.field}: ")
                raise CliError(
                    message, exit_code=ExitCode.USAGE, reason=error.reason, field=name
                ) from None
        raise


def _reason(call: Call) -> str:
    """Ask for a reason where somebody is there to be asked."""
    if call.as_json or call.dry_run or not sys.stdin.isatty():
        return ""
    return str(click.prompt("reason (for who asks later)", default="", show_default=False))


def _ends(override: catalog_pb2.Override) -> str:
    if not override.HasField("expires_at"):
        return ""
    return f", ends {told_until(instant_of(override.expires_at), wall_us())}"
