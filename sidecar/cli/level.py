"""`tallyd level`: shows what is in use of a level, changes it, and tells what is billed of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from sidecar.cli import output
from sidecar.cli.common import (
    DurationType,
    ExitCode,
    F,
    control_option,
    dimension_option,
    examples,
    json_option,
    sidecar_option,
    timeout_option,
)
from sidecar.cli.completion import complete_company, complete_feature
from sidecar.cli.describe import basis_text, pairs, reason_text
from sidecar.cli.limit_tables import limit_table
from sidecar.cli.output import NOTHING, Cell, number
from sidecar.cli.pages import paged
from sidecar.cli.servers import connect
from sidecar.cli.times import InstantType, local_time, time_zone_option
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.api_json import instant_of
from sidecar.shared.convert.times import duration, timestamp

_ITEMS_SHOWN: Final = 100
_ITEMS_AT_ONCE: Final = 1_000
_MEASURES: Final = {
    catalog_pb2.LEVEL_MEASURE_PEAK: "the peak",
    catalog_pb2.LEVEL_MEASURE_AVERAGE: "the average",
}


@click.group(
    epilog=examples(
        "tallyd level show acme jobs",
        "tallyd level adjust acme jobs 1 --item job-17 --ttl 10m",
        "tallyd level set acme jobs 57",
        "tallyd level bill acme jobs --at 2026-02-01",
    ),
)
def command() -> None:
    """Show what is in use of a level now, change it, and tell what is billed of it."""


def _subject(command: F) -> F:
    """Add the arguments COMPANY and FEATURE."""
    command = click.argument("feature", shell_complete=complete_feature)(command)
    return click.argument("company", shell_complete=complete_company)(command)


def _change_options(command: F) -> F:
    """Add what both ways to change a level have."""
    for add in (
        json_option,
        timeout_option,
        sidecar_option,
        time_zone_option,
        click.option("--idempotency-key", default="", metavar="KEY", help="Makes a retry safe."),
        click.option(
            "--ttl",
            type=DurationType(),
            metavar="TIME",
            help="After so long, such as 10m, the item's share comes back by itself.",
        ),
        click.option("--item", default="", metavar="NAME", help="What it is that is in use."),
        dimension_option,
    ):
        command = add(command)
    return command


@command.command("show", epilog=examples("tallyd level show acme jobs --dimension user=ann"))
@_subject
@dimension_option
@click.option("--item", default="", metavar="NAME", help="One item alone.")
@click.option(
    "--max",
    "items_max",
    type=click.IntRange(1, 100_000),
    default=_ITEMS_SHOWN,
    show_default=True,
    help="Most items to show.",
)
@time_zone_option
@sidecar_option
@timeout_option
@json_option
def show(
    company: str,
    feature: str,
    dimensions: tuple[tuple[str, str], ...],
    item: str,
    items_max: int,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Show what is in use: on every limit that applies, and the items held at this sidecar."""
    request = pb.GetLevelRequest(
        company=company,
        feature=feature,
        dimensions=dict(dimensions),
        item=item,
        page_size=min(items_max, _ITEMS_AT_ONCE),
    )
    with connect("sidecar", sidecar_address) as channel:
        stub = pb_grpc.EnforcementServiceStub(channel)
        answer = paged(
            stub.GetLevel,
            request,
            timeout_s,
            items_max,
            lambda page: len(page.items),
            lambda page, more: page.items.extend(more.items),
        )
    if as_json:
        output.print_message(answer)
        return
    output.print_table(*limit_table(answer.limits))
    rows: list[list[Cell]] = [_item_row(each) for each in answer.items]
    if rows:
        output.print_line()
        output.print_table(["item", "in use", "comes back", "dimensions"], rows)
    if answer.next_page_token:
        output.print_line("There are more items: say --max.")
    output.print_line(basis_text(answer.basis))


@command.command(
    "adjust",
    epilog=examples("tallyd level adjust acme jobs -1 --item job-17"),
    context_settings={"ignore_unknown_options": True},
)
@_subject
@click.argument("amount", type=int)
@_change_options
@click.pass_context
def adjust(
    ctx: click.Context,
    company: str,
    feature: str,
    amount: int,
    dimensions: tuple[tuple[str, str], ...],
    item: str,
    ttl: float | None,
    idempotency_key: str,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Have AMOUNT more of FEATURE in use; below 0: less. Ends with 1 when denied."""
    request = pb.AdjustLevelRequest(
        company=company,
        feature=feature,
        amount=amount,
        item=item,
        time_to_live=_ttl(ttl),
        idempotency_key=idempotency_key,
        dimensions=dict(dimensions),
    )
    _change(
        ctx, sidecar_address, as_json, lambda stub: stub.AdjustLevel(request, timeout=timeout_s)
    )


@command.command("set", epilog=examples("tallyd level set acme jobs 57 --item disk-1"))
@_subject
@click.argument("level", type=click.IntRange(0))
@_change_options
@click.pass_context
def set_(
    ctx: click.Context,
    company: str,
    feature: str,
    level: int,
    dimensions: tuple[tuple[str, str], ...],
    item: str,
    ttl: float | None,
    idempotency_key: str,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Have LEVEL of FEATURE in use, of an item where one is named. Ends with 1 when denied."""
    request = pb.SetLevelRequest(
        company=company,
        feature=feature,
        level=level,
        item=item,
        time_to_live=_ttl(ttl),
        idempotency_key=idempotency_key,
        dimensions=dict(dimensions),
    )
    _change(ctx, sidecar_address, as_json, lambda stub: stub.SetLevel(request, timeout=timeout_s))


@command.command("bill", epilog=examples("tallyd level bill acme jobs --at 2026-02-01"))
@_subject
@click.option(
    "--at", type=InstantType(), metavar="TIME", help="In the window that is meant; left out: now."
)
@time_zone_option
@control_option
@timeout_option
@json_option
def bill(
    company: str,
    feature: str,
    at: int | None,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Tell the peak of a level in a window, and its average weighted by time, by the ledger.

    Windows are those that the feature is billed by, else calendar months. A report that comes late
    changes the bill of its time, for 35 days after the window's end.
    """
    request = control_pb2.GetLevelBillRequest(
        company=company, feature=feature, at=None if at is None else timestamp(at)
    )
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.GetLevelBill(request, timeout=timeout_s)
    if as_json:
        output.print_message(answer)
        return
    ends = (answer.window_start, answer.window_end)
    until = "final" if answer.is_final else f"as of {local_time(instant_of(answer.until))}"
    output.print_facts(
        [
            (
                "window",
                " to ".join(local_time(instant_of(each)) for each in ends),
            ),
            ("state", until),
            ("opening", number(answer.opening)),
            ("peak", number(answer.peak)),
            ("average", answer.average),
            ("billed", _MEASURES.get(answer.measure, "not said")),
        ]
    )


def _ttl(seconds: float | None) -> Duration | None:
    return None if seconds is None else duration(round(seconds * SECOND_US))


def _change(
    ctx: click.Context,
    address: str,
    as_json: bool,
    call: Callable[[pb_grpc.EnforcementServiceStub], pb.AdjustLevelResponse | pb.SetLevelResponse],
) -> None:
    with connect("sidecar", address) as channel:
        answer = call(pb_grpc.EnforcementServiceStub(channel))
    decision = answer.decision
    if as_json:
        output.print_message(answer)
    else:
        facts: list[tuple[str, Cell]] = [
            (
                "outcome",
                "changed" if decision.allowed else f"denied: {reason_text(decision.reason)}",
            ),
            ("changed by", number(answer.changed)),
        ]
        if answer.HasField("item"):
            facts.append(("item", f"{answer.item.item}: {number(answer.item.level)}"))
        if answer.item.HasField("expires"):
            facts.append(("comes back", local_time(instant_of(answer.item.expires))))
        if decision.HasField("binding_limit"):
            facts.append(("in use", number(decision.binding_limit.used)))
        facts.append(("basis", basis_text(decision.basis)))
        output.print_facts(facts)
    ctx.exit(ExitCode.OK if decision.allowed else ExitCode.NEGATIVE)


def _item_row(item: pb.LevelItem) -> list[Cell]:
    comes_back = local_time(instant_of(item.expires)) if item.HasField("expires") else "never"
    return [item.item, item.level, comes_back, pairs(item.dimensions) or NOTHING]
