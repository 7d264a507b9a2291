"""`tallyd credits`: grants a company credits, shows what became of them, and takes them back."""

from __future__ import annotations

import re
import sys
from typing import Final

import click
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import credits_pb2, credits_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import F, examples
from sidecar.cli.completion import complete_feature
from sidecar.cli.credit_tables import (
    print_balances,
    print_granted,
    print_grants,
    print_history,
    print_refund,
    print_voided,
)
from sidecar.cli.pages import paged
from sidecar.cli.servers import connect
from sidecar.cli.subscription_calls import (
    Call,
    call_options,
    change_options,
    company_argument,
    until_option,
)
from sidecar.cli.times import InstantType
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.grants import PRIORITY_MAX
from sidecar.shared.api_json import json_of_message
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us

LISTED_MAX: Final = 100
_PAGE_MAX: Final = 1_000
_AMOUNT: Final = re.compile(r"[0-9]+|[0-9]{1,3}(?:[_,][0-9]{3})+")


class AmountType(click.ParamType[int]):
    """Micro-credits, 1 or more, such as 5000000 or 5_000_000."""

    name = "amount"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse it."""
        text = str(value)
        amount = int(re.sub("[_,]", "", text)) if _AMOUNT.fullmatch(text) else 0
        if not 1 <= amount <= INT64_MAX:
            told = "is no amount of micro-credits such as 5000000 or 5_000_000"
            self.fail(f"{text!r} {told}", param, ctx)
        return amount


class _Grant(click.Command):
    """Takes amounts below 0 for the mistakes that they are, and not for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them; raises `UsageError` for an amount below 0."""
        for text in args:
            if re.fullmatch(r"-[0-9][0-9_,]*", text):
                message = f"{text} is no amount: void a grant, or refund a record, to take it back"
                raise click.UsageError(message, ctx)
        return super().parse_args(ctx, args)


@click.group(
    epilog=examples(
        "tallyd credits grant acme credits 5_000_000 --until +30d --id welcome",
        "tallyd credits show acme",
        "tallyd credits history acme --feature credits",
        "tallyd credits void acme welcome",
    ),
)
def command() -> None:
    """Grant credits, show balances and what became of them, void and refund.

    All amounts are micro-credits. What recurs is granted by plans; here are grants of their own.
    """


def _feature_option(function: F) -> F:
    return click.option(
        "--feature",
        default="",
        metavar="KEY",
        shell_complete=complete_feature,
        help="Only credits of this feature.",
    )(function)


def _reason_option(function: F) -> F:
    return click.option(
        "--reason", metavar="TEXT", help="Why, for people; asked for on a terminal."
    )(function)


@command.command(
    "grant",
    cls=_Grant,
    epilog=examples(
        "tallyd credits grant acme credits 5_000_000 --until +30d",
        "tallyd credits grant acme credits 20_000_000 --paid --id order-1017",
    ),
)
@company_argument
@click.argument("feature", shell_complete=complete_feature)
@click.argument("amount", type=AmountType())
@click.option("--id", "id_", metavar="ID", default="", help="Id, so that a retry grants it once.")
@click.option("--paid", is_flag=True, help="It was bought: given credits burn before it.")
@click.option(
    "--priority",
    type=click.IntRange(0, PRIORITY_MAX),
    default=0,
    show_default=True,
    help="Lower burns first.",
)
@click.option(
    "--from", "from_us", type=InstantType(), metavar="TIME", help="From when on; left out: now."
)
@until_option("--until", "When it expires; left out: never.")
@_reason_option
@change_options
def grant(
    call: Call,
    feature: str,
    amount: int,
    id_: str,
    paid: bool,
    priority: int,
    from_us: int | None,
    until: Timestamp | None,
    reason: str | None,
) -> None:
    """Grant COMPANY an AMOUNT of micro-credits of FEATURE, once and for all."""
    kind = catalog_pb2.CREDIT_KIND_PAID if paid else catalog_pb2.CREDIT_KIND_PROMOTIONAL
    given = catalog_pb2.CreditGrant(
        id=id_,
        feature=feature,
        amount=amount,
        priority=priority,
        kind=kind,
        effective=None if from_us is None else timestamp(from_us),
        expires=until,
    )
    request = credits_pb2.GrantCreditsRequest(
        company=call.company, grant=given, reason=_reason(call, reason), dry_run=call.dry_run
    )
    with connect("control", call.address) as channel:
        stub = credits_pb2_grpc.CreditServiceStub(channel)
        answer = stub.GrantCredits(request, timeout=call.timeout_s)
    if call.as_json:
        output.print_json({**json_of_message(answer), "dry_run": call.dry_run})
    else:
        print_granted(call.company, answer, wall_us(), dry_run=call.dry_run)


@command.command(
    "show", epilog=examples("tallyd credits show acme", "tallyd credits show acme --grants")
)
@company_argument
@_feature_option
@click.option("--grants", is_flag=True, help="List grants, also those that are over.")
@call_options
def show(call: Call, feature: str, grants: bool) -> None:
    """Show COMPANY's balances, and what they burn from; or all grants with what became of them."""
    with connect("control", call.address) as channel:
        stub = credits_pb2_grpc.CreditServiceStub(channel)
        if grants:
            request = credits_pb2.ListCreditGrantsRequest(
                company=call.company, feature=feature, with_over=True, page_size=_PAGE_MAX
            )
            listed = paged(
                stub.ListCreditGrants,
                request,
                call.timeout_s,
                sys.maxsize,
                lambda page: len(page.grants),
                lambda page, more: page.grants.extend(more.grants),
            )
        else:
            asked = credits_pb2.GetCreditBalanceRequest(company=call.company, feature=feature)
            balances = stub.GetCreditBalance(asked, timeout=call.timeout_s)
    if call.as_json:
        output.print_message(listed if grants else balances)
    elif grants:
        print_grants(call.company, listed.grants)
    else:
        print_balances(call.company, balances.balances)


@command.command(
    "history",
    epilog=examples(
        "tallyd credits history acme", "tallyd credits history acme --from -7d --feature credits"
    ),
)
@company_argument
@_feature_option
@click.option("--from", "from_us", type=InstantType(), metavar="TIME", help="From when on.")
@until_option("--until", "Until when; left out: now.")
@click.option(
    "--max",
    "events_max",
    type=click.IntRange(1, 100_000),
    default=LISTED_MAX,
    show_default=True,
    help="Most events to show.",
)
@call_options
def history(
    call: Call, feature: str, from_us: int | None, until: Timestamp | None, events_max: int
) -> None:
    """Show what happened to COMPANY's balances: which record burned what, grants, voids, refunds.

    The oldest comes first. Records burn at the time of their events; what the control plane did
    itself stands at the time when it did.
    """
    request = credits_pb2.ListCreditHistoryRequest(
        company=call.company,
        feature=feature,
        until=until,
        page_size=min(events_max, _PAGE_MAX),
    )
    if from_us is not None:
        getattr(request, "from").CopyFrom(timestamp(from_us))  # a keyword in Python
    with connect("control", call.address) as channel:
        stub = credits_pb2_grpc.CreditServiceStub(channel)
        answer = paged(
            stub.ListCreditHistory,
            request,
            call.timeout_s,
            events_max,
            lambda page: len(page.events),
            lambda page, more: page.events.extend(more.events),
        )
    more = bool(answer.next_page_token) or len(answer.events) > events_max
    events = answer.events[:events_max]
    if call.as_json:
        output.print_json({"events": [json_of_message(each) for each in events], "more": more})
    else:
        print_history(call.company, events, more=more)


@command.command("void", epilog=examples('tallyd credits void acme welcome --reason "fraud"'))
@company_argument
@click.argument("id_", metavar="ID")
@_reason_option
@change_options
def void(call: Call, id_: str, reason: str | None) -> None:
    """Take what is left of COMPANY's grant ID, and close it for good.

    Sidecars that hold something of it are asked to give it back: the same again says what came.
    """
    request = credits_pb2.VoidCreditGrantRequest(
        company=call.company, id=id_, reason=_reason(call, reason), dry_run=call.dry_run
    )
    with connect("control", call.address) as channel:
        stub = credits_pb2_grpc.CreditServiceStub(channel)
        answer = stub.VoidCreditGrant(request, timeout=call.timeout_s)
    if call.as_json:
        output.print_json({**json_of_message(answer), "dry_run": call.dry_run})
    else:
        print_voided(call.company, answer, dry_run=call.dry_run)


@command.command(
    "refund",
    epilog=examples(
        "tallyd credits refund acme 3f0c2f6e-8d0b-4a52-9f0e-5b9b1c1f3a77-42 --amount 500 --id r-7",
        "tallyd credits refund acme 3f0c2f6e-8d0b-4a52-9f0e-5b9b1c1f3a77-42",
    ),
)
@company_argument
@click.argument("record")
@click.option("--amount", type=AmountType(), help="Micro-credits; left out: all that is left.")
@_feature_option
@click.option("--id", "id_", metavar="ID", default="", help="Id, so that a retry refunds it once.")
@_reason_option
@change_options
def refund(
    call: Call, record: str, amount: int | None, feature: str, id_: str, reason: str | None
) -> None:
    """Give back what COMPANY's usage RECORD burned, last burned first.

    `tallyd credits history` shows the ids of records. What would return to a grant that has expired
    or was voided is lost, and told.
    """
    request = credits_pb2.RefundCreditsRequest(
        company=call.company,
        record=record,
        feature=feature,
        amount=amount or 0,
        reason=_reason(call, reason),
        request_id=id_,
        dry_run=call.dry_run,
    )
    with connect("control", call.address) as channel:
        stub = credits_pb2_grpc.CreditServiceStub(channel)
        answer = stub.RefundCredits(request, timeout=call.timeout_s)
    if call.as_json:
        output.print_json({**json_of_message(answer), "dry_run": call.dry_run})
    else:
        print_refund(call.company, answer, dry_run=call.dry_run)


def _reason(call: Call, reason: str | None) -> str:
    """Ask for a reason where somebody is there to be asked."""
    if reason is not None:
        return reason
    if call.as_json or call.dry_run or not sys.stdin.isatty():
        return ""
    return str(click.prompt("reason (for who asks later)", default="", show_default=False))
