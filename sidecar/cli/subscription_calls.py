"""What the commands of `tallyd subscription` have in common: options, and the call itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import click
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import DEFAULT_CONTROL, F, control_option, json_option, timeout_option
from sidecar.cli.completion import complete_company
from sidecar.cli.servers import connect, require_current_plane
from sidecar.cli.subscription_tables import json_of_company, print_change, print_company
from sidecar.cli.times import InstantType, take_zone_from, time_zone_option
from sidecar.shared.api_json import json_of_message
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us

_ZONE_SECONDS_MAX: Final = 10.0
_ENDS: Final = {"pause", "cancel"}
"""Changes after which nothing else is expected than a denial."""


class Call(NamedTuple):
    """Whom to ask about which company, how long to wait, and how to tell the answer.

    `on_planned`: what becomes of what was planned before.
    """

    company: str
    address: str
    timeout_s: float
    as_json: bool
    on_planned: control_pb2.OnPlanned.ValueType = control_pb2.ON_PLANNED_UNSPECIFIED
    dry_run: bool = False


class ChangeInstant(NamedTuple):
    """When a change takes effect, as the API says it."""

    time: control_pb2.ChangeTime.ValueType = control_pb2.CHANGE_TIME_NOW
    at: Timestamp | None = None


NOW: Final = ChangeInstant()
PERIOD_END: Final = ChangeInstant(control_pb2.CHANGE_TIME_PERIOD_END)
_ON_PLANNED: Final[Mapping[str | None, control_pb2.OnPlanned.ValueType]] = {
    None: control_pb2.ON_PLANNED_UNSPECIFIED,
    "keep": control_pb2.ON_PLANNED_KEEP,
    "drop": control_pb2.ON_PLANNED_DROP,
}


class WhenType(click.ParamType[ChangeInstant]):
    """`now`, `period-end`, or an instant in the future."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ChangeInstant:
        """Parse it."""
        if isinstance(value, ChangeInstant):
            return value
        if value in ("now", "period-end"):
            return NOW if value == "now" else PERIOD_END
        try:
            at_us = InstantType().convert(value, None, ctx)
        except click.BadParameter:
            told = "is not now, period-end, or an instant such as 2027-01-31, +12h or fri"
            self.fail(f"{value!r} {told}", param, ctx)
        return ChangeInstant(control_pb2.CHANGE_TIME_AT, timestamp(at_us))


at_option: Final = click.option(
    "--at",
    "when",
    type=WhenType(),
    default="now",
    metavar="WHEN",
    show_default=True,
    help="now, period-end (in a trial: its end), or an instant such as 2027-01-31, +12h or fri.",
)
history_option: Final = click.option(
    "--history", is_flag=True, help="Show the whole timeline, what was in force before as well."
)
move_anchor_option: Final = click.option(
    "--move-anchor", is_flag=True, help="Start the billing cycle anew."
)
planned_option: Final = click.option(
    "--planned",
    type=click.Choice(["keep", "drop"]),
    help="Keep or drop what was planned before of the same thing; refused without that.",
)


def _take_company(ctx: click.Context, param: click.Parameter, company: str) -> str:
    """Let days be those of the company, as in catalog files; it is asked for where one is said."""

    def zone() -> str:
        address = ctx.params.get("control_address", DEFAULT_CONTROL)
        request = control_pb2.GetCompanyRequest(company=company, accepts_spans=True)
        with connect("control", address) as channel:
            stub = control_pb2_grpc.ControlServiceStub(channel)
            answer = stub.GetCompany(request, timeout=_ZONE_SECONDS_MAX)
        return answer.company.time_zone or "UTC"

    take_zone_from(ctx, zone)
    return company


company_argument: Final = click.argument(
    "company", shell_complete=complete_company, is_eager=True, callback=_take_company
)


def until_option(name: str, text: str, *, required: bool = False) -> Callable[[F], F]:
    """Add an option for an instant; the parameter is `until`, a Timestamp or `None`."""

    def parse(ctx: click.Context, param: click.Parameter, at_us: int | None) -> Timestamp | None:
        return None if at_us is None else timestamp(at_us)

    return click.option(
        name,
        "until",
        type=InstantType(),
        metavar="TIME",
        callback=parse,
        required=required,
        help=text,
    )


def call_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every command has; with COMPANY they become the parameter `call`."""

    @time_zone_option
    @control_option
    @timeout_option
    @json_option
    @functools.wraps(function)
    def with_call(
        *,
        company: str,
        control_address: str,
        timeout_s: float,
        as_json: bool,
        planned: str | None = None,
        dry_run: bool = False,
        **given: Any,
    ) -> None:
        on_planned = _ON_PLANNED[planned]
        call = Call(company, control_address, timeout_s, as_json, on_planned, dry_run)
        function(call=call, **given)

    return with_call


def change_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `call_options`, and --dry-run."""
    return click.option(
        "--dry-run", is_flag=True, help="Say what would change, and change nothing."
    )(call_options(function))


def send(
    call: Call, told: str, when: ChangeInstant = NOW, *, already: str = "", **change: Any
) -> None:
    """Ask for one change, and print what came of it. `told`: the change, in words.

    `already`: what is the case where it changes nothing, if that is not what is held. Of a dry run,
    the timeline before it is shown too.
    """
    request = control_pb2.ChangeSubscriptionRequest(
        company=call.company,
        when=when.time,
        at=when.at,
        planned=call.on_planned,
        accepts_spans=not call.as_json,  # scripts have what they always had
        **change,
    )
    with connect("control", call.address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        before = None
        if call.dry_run:
            answer = stub.PreviewSubscription(request, timeout=call.timeout_s)
        else:
            require_current_plane(channel, call.timeout_s)
            answer = stub.ChangeSubscription(request, timeout=call.timeout_s)
        if call.dry_run and not call.as_json:
            asked = control_pb2.GetCompanyRequest(company=call.company, accepts_spans=True)
            before = stub.GetCompany(asked, timeout=call.timeout_s)
    if call.as_json:
        output.print_json({**json_of_message(answer), "dry_run": call.dry_run})
    else:
        at_once = when.time == control_pb2.CHANGE_TIME_NOW
        is_end = bool(_ENDS & change.keys())
        print_change(
            answer, told, at_once, wall_us(), is_end=is_end, already=already, before=before
        )


def show_company(call: Call, *, history: bool) -> control_pb2.GetCompanyResponse:
    """Show a company's subscription and its timeline, and return what was answered."""
    with connect("control", call.address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        request = control_pb2.GetCompanyRequest(
            company=call.company, accepts_spans=not call.as_json
        )
        answer: control_pb2.GetCompanyResponse = stub.GetCompany(request, timeout=call.timeout_s)
    if call.as_json:
        output.print_json(json_of_company(answer, wall_us()))
    else:
        print_company(answer, wall_us(), history=history)
    return answer
