"""`tallyd seats`: shows who has a seat of a feature, gives seats and takes them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click
import grpc

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2
from sidecar.cli import output
from sidecar.cli.common import (
    ExitCode,
    F,
    control_option,
    examples,
    json_option,
    timeout_option,
)
from sidecar.cli.completion import complete_company, complete_feature
from sidecar.cli.output import NOTHING, Cell
from sidecar.cli.pages import paged
from sidecar.cli.servers import connect
from sidecar.cli.times import local_minute, local_time, time_zone_option
from sidecar.shared.api_json import enum_name, instant_of, json_of_message

LISTED_MAX: Final = 1_000
_PAGE_MAX: Final = 1_000
_LIMITS: Final = ("limit", "held", "seats", "free", "window ends")
_SWAPS: Final = ("holders left", "swaps reset")
_SEATS: Final = ("holder", "limit", "since")


@click.group(
    epilog=examples(
        "tallyd seats list acme members",
        "tallyd seats acquire acme members ann@example.com",
        "tallyd seats release acme members ann@example.com",
    )
)
def command() -> None:
    """Show who has a seat of a feature; give seats and take them back.

    Seats belong to the control plane: what is changed here, sidecars hear of within a second.
    """


def _holder_arguments(command: F) -> F:
    command = click.argument("holder")(command)
    return _feature_arguments(command)


def _feature_arguments(command: F) -> F:
    command = click.argument("feature", shell_complete=complete_feature)(command)
    return click.argument("company", shell_complete=complete_company)(command)


@command.command("list", epilog=examples("tallyd seats list acme members --json"))
@_feature_arguments
@click.option(
    "--max",
    "seats_max",
    type=click.IntRange(1, 1_000_000),
    default=LISTED_MAX,
    show_default=True,
    help="Most seats to show.",
)
@time_zone_option
@control_option
@timeout_option
@json_option
def list_(
    company: str,
    feature: str,
    seats_max: int,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """List who has a seat of FEATURE at COMPANY, and how many are free."""
    request = control_pb2.ListSeatsRequest(
        company=company, feature=feature, page_size=min(seats_max, _PAGE_MAX)
    )
    with connect("control", control_address) as channel:
        answer = paged(
            control_pb2_grpc.ControlServiceStub(channel).ListSeats,
            request,
            timeout_s,
            seats_max,
            lambda page: len(page.seats),
            lambda page, more: page.seats.extend(more.seats),
        )
    more = bool(answer.next_page_token) or len(answer.seats) > seats_max
    seats = answer.seats[:seats_max]
    if as_json:
        output.print_json(
            {
                "limits": [json_of_message(limit) for limit in answer.limits],
                "seats": [json_of_message(seat) for seat in seats],
                "more": more,
            }
        )
        return
    _print_limits(answer.limits)
    if seats:
        output.print_line()
        output.print_table(_SEATS, _seat_rows(seats), tight=True)
    if more:
        output.print_line("and more: --max")


@command.command(epilog=examples("tallyd seats acquire acme members ann@example.com"))
@_holder_arguments
@time_zone_option
@control_option
@timeout_option
@json_option
def acquire(
    company: str,
    feature: str,
    holder: str,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Give HOLDER a seat of FEATURE at COMPANY. Who has one keeps it.

    Without a free seat the exit status is 1.
    """
    request = control_pb2.AcquireSeatRequest(company=company, feature=feature, holder=holder)
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.AcquireSeat(request, timeout=timeout_s)
        limits = () if as_json else _limits_of(stub, company, feature, timeout_s)
    reason = _reason(answer.reason)
    if as_json:
        told = json_of_message(answer)
        output.print_json({**told, "reason": reason if answer.reason else None})
    else:
        said = _acquired(output.printable(holder), reason, answer)
        output.print_line("; ".join([said, *map(_held_text, limits)]))
    if not answer.held:
        click.get_current_context().exit(ExitCode.NEGATIVE)


@command.command(epilog=examples("tallyd seats release acme members ann@example.com"))
@_holder_arguments
@time_zone_option
@control_option
@timeout_option
@json_option
def release(
    company: str,
    feature: str,
    holder: str,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Take back HOLDER's seat of FEATURE at COMPANY, so that somebody else may have it.

    Seats that are counted by a window stay until that ends.
    """
    request = control_pb2.ReleaseSeatRequest(company=company, feature=feature, holder=holder)
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.ReleaseSeat(request, timeout=timeout_s)
    if as_json:
        output.print_json(json_of_message(answer))
        return
    shown = output.printable(holder)
    if answer.released:
        output.print_line(f"{shown}: the seat is free")
    if answer.HasField("counts_until"):
        until = local_time(instant_of(answer.counts_until))
        output.print_line(f"{shown} counts until {until}, when the window ends")
    elif not answer.released:
        output.print_line(f"{shown} has no seat")


def _limits_of(
    stub: control_pb2_grpc.ControlServiceStub, company: str, feature: str, timeout_s: float
) -> Sequence[control_pb2.SeatLimit]:
    """How many seats are held of how many; nothing where that cannot be had: it is said beside."""
    request = control_pb2.ListSeatsRequest(company=company, feature=feature, page_size=1)
    try:
        return list(stub.ListSeats(request, timeout=timeout_s).limits)
    except grpc.RpcError:
        return ()


def _held_text(limit: control_pb2.SeatLimit) -> str:
    """Such as `named: 3 of 5 held`."""
    of = f" of {output.number(limit.amount)}" if limit.HasField("amount") else ""
    return f"{output.printable(limit.limit)}: {output.number(limit.held)}{of} held"


def _acquired(holder: str, reason: str, answer: control_pb2.AcquireSeatResponse) -> str:
    if answer.assigned:
        return f"{holder} has a seat now"
    if answer.held:
        return f"{holder} has a seat already"
    retry = ""
    if answer.HasField("retry_at"):
        retry = f"; again from {local_time(instant_of(answer.retry_at))} on"
    return f"{holder} has no seat: {reason}{retry}"


def _reason(number: int) -> str:
    name = enum_name(enforcement_pb2.Reason.DESCRIPTOR, number)
    return str(name)


def _print_limits(limits: Any) -> None:
    if not limits:
        output.print_line("the company has no limit on seats: whoever asks may use the feature")
        return
    swaps = any(limit.HasField("holders_left") for limit in limits)
    titles = (*_LIMITS, *_SWAPS) if swaps else _LIMITS
    output.print_table(titles, [_limit_row(limit, swaps=swaps) for limit in limits], tight=True)


def _limit_row(limit: control_pb2.SeatLimit, *, swaps: bool) -> list[Cell]:
    has_amount = limit.HasField("amount")
    row: list[Cell] = [
        limit.limit,
        limit.held,
        limit.amount if has_amount else "unlimited",
        max(0, limit.amount - limit.held) if has_amount else NOTHING,
        local_minute(instant_of(limit.window.end)) if limit.HasField("window") else "never",
    ]
    if swaps:
        has_swaps = limit.HasField("holders_left")
        row += [
            limit.holders_left if has_swaps else NOTHING,
            local_minute(instant_of(limit.swaps_reset_at)) if has_swaps else NOTHING,
        ]
    return row


def _seat_rows(seats: Any) -> Iterator[list[Cell]]:
    for seat in seats:
        yield [seat.holder, seat.limit, local_minute(instant_of(seat.assigned_at))]
