"""`tallyd watch`: what changes for a company, as it happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import click

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from sidecar.cli import output
from sidecar.cli.common import PairType, examples, printable, sidecar_option
from sidecar.cli.completion import complete_company, complete_feature
from sidecar.cli.describe import carried_text, is_rate, limit_name, reason_name, status_name
from sidecar.cli.output import number
from sidecar.cli.servers import connect
from sidecar.cli.times import local_minute, local_time, time_zone_option
from sidecar.shared.api_json import enum_name, instant_of, json_of_message

_COLOURS: Final = {
    pb.ENTITLEMENT_EVENT_CHANGED: "cyan",
    pb.ENTITLEMENT_EVENT_THRESHOLD: "yellow",
    pb.ENTITLEMENT_EVENT_EXHAUSTED: "red",
    pb.ENTITLEMENT_EVENT_RESET: "green",
    pb.ENTITLEMENT_EVENT_LOW_BALANCE: "yellow",
    pb.ENTITLEMENT_EVENT_BALANCE_EXHAUSTED: "red",
    pb.ENTITLEMENT_EVENT_TOPPED_UP: "green",
}
_KIND_CELLS: Final = len("threshold")


@click.command(
    epilog=examples(
        "tallyd watch acme",
        "tallyd watch acme --feature tokens --dimension user=joe",
        "tallyd watch acme --json",
    )
)
@click.argument("company", shell_complete=complete_company)
@click.option(
    "-f",
    "--feature",
    "features",
    multiple=True,
    shell_complete=complete_feature,
    metavar="FEATURE",
    help="Feature to watch; may come several times. Left out: all that COMPANY is entitled to.",
)
@click.option(
    "-d",
    "--dimension",
    "dimensions",
    type=PairType(),
    multiple=True,
    metavar="KEY=VALUE",
    help="Attribute of the usage, for limits by user, say; may come several times.",
)
@time_zone_option
@sidecar_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object a line; an error is one too, on stderr.",
)
def command(
    company: str,
    features: tuple[str, ...],
    dimensions: tuple[tuple[str, str], ...],
    sidecar_address: str,
    as_json: bool,
) -> None:
    """Show what changes for COMPANY, one line an event, until Ctrl-C.

    It starts with the present state of each feature. Then come changes of what the company may do,
    thresholds that its usage reaches, limits that are used up, and those that start again. Of a
    balance of credits: that it is low, used up, or topped up.
    """
    request = pb.WatchEntitlementsRequest(
        company=company, features=features, dimensions=dict(dimensions)
    )
    # Ctrl-C is how it ends: nothing is wrong then.
    with suppress(KeyboardInterrupt), connect("sidecar", sidecar_address) as channel:
        for event in pb_grpc.EnforcementServiceStub(channel).WatchEntitlements(request):
            if as_json:
                line = json.dumps(json_of_message(event), ensure_ascii=False)
            else:
                line = _line(event)
            output.print_line(line)


def _line(event: pb.WatchEntitlementsResponse) -> str:
    name = str(enum_name(pb.EntitlementEvent.DESCRIPTOR, event.event)).lower()
    name = name.removeprefix("balance_").removesuffix("_balance").replace("_", " ")
    name = name.ljust(_KIND_CELLS)
    kind = output.paint(name, _COLOURS[event.event]) if event.event in _COLOURS else name
    details = printable(f"{event.feature}  {'; '.join(_details(event))}")
    return f"{local_time(instant_of(event.at))}  {kind}  {details}".rstrip()


def _details(event: pb.WatchEntitlementsResponse) -> Iterator[str]:
    if event.event == pb.ENTITLEMENT_EVENT_THRESHOLD:
        yield f"{event.percent} % is reached"
    if event.event == pb.ENTITLEMENT_EVENT_LOW_BALANCE:
        yield f"at or below {number(event.low_balance)}"
    if event.HasField("balance"):
        yield f"balance {number(event.balance.balance)}"
    if event.HasField("entitlement"):
        yield _rights(event)
    yield from map(_usage, event.limits)


def _rights(event: pb.WatchEntitlementsResponse) -> str:
    entitlement = event.entitlement
    words = ["yes" if entitlement.entitled else f"no: {reason_name(entitlement.reason)}"]
    if entitlement.config_value:
        words.append(entitlement.config_value)
    words.append(f"plan {event.plan}" if event.plan else "no plan")
    words.append(status_name(event.status))
    return ", ".join(words)


def _usage(limit: pb.LimitStatus) -> str:
    amount = number(limit.amount) if limit.HasField("amount") else "unlimited"
    text = f"{limit_name(limit)}: {number(limit.used)} of {amount}"
    if limit.carried:
        text += f" and {carried_text(limit)}"
    if limit.HasField("resets_at") and not is_rate(limit):
        text += f", resets {local_minute(instant_of(limit.resets_at))}"
    return text
