"""`tallyd check`: asks a sidecar whether a company may use a feature, and counts it if told to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import click
import grpc

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from sidecar.cli import output
from sidecar.cli.common import (
    ExitCode,
    PairType,
    dimension_option,
    examples,
    json_option,
    quantity_option,
    sidecar_option,
    timeout_option,
)
from sidecar.cli.completion import complete_company, complete_feature
from sidecar.cli.cost_words import burned_facts, price_facts
from sidecar.cli.describe import (
    basis_text,
    carried_text,
    drains_us,
    fallback_text,
    is_rate,
    limit_name,
    overruled_text,
    reason_name,
    reason_text,
    wait_text,
)
from sidecar.cli.limit_tables import limit_table
from sidecar.cli.output import Cell, Painted, number
from sidecar.cli.servers import connect
from sidecar.cli.times import InstantType, time_zone_option, until
from sidecar.shared.api_json import instant_of
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us


@click.command(
    epilog=examples(
        "tallyd check acme tokens --quantity 1200 --dimension model=large",
        "tallyd check acme tokens -n 1200 --increment --idempotency-key order-17",
        "tallyd check acme tokens -n 5000 --increment --up-to --json",
    ),
)
@click.argument("company", shell_complete=complete_company)
@click.argument("feature", shell_complete=complete_feature)
@quantity_option
@dimension_option
@click.option("--increment", is_flag=True, help="Count it, if it is allowed.")
@click.option("--up-to", is_flag=True, help="Take as much as is left, at least 1.")
@click.option("--idempotency-key", metavar="KEY", help="Makes a retry safe; with --increment.")
@click.option(
    "--metadata",
    type=PairType(),
    multiple=True,
    metavar="KEY=VALUE",
    help="Stored with the usage; with --increment.",
)
@click.option(
    "--event-time", type=InstantType(), metavar="TIME", help="When it happens; left out: now."
)
@time_zone_option
@sidecar_option
@timeout_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    company: str,
    feature: str,
    quantity: int,
    dimensions: tuple[tuple[str, str], ...],
    increment: bool,
    up_to: bool,
    idempotency_key: str | None,
    metadata: tuple[tuple[str, str], ...],
    event_time: int | None,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Ask whether COMPANY may use FEATURE. Counts nothing, unless --increment is given.

    TIME is RFC 3339 with an offset, a date (UTC), or a span from now such as -2h. Ends with 0 when
    allowed and 1 when denied.
    """
    if not increment and (idempotency_key or metadata):
        raise click.UsageError("--idempotency-key and --metadata need --increment")
    question = pb.CheckRequest(
        company=company,
        feature=feature,
        quantity=quantity,
        event_time=None if event_time is None else timestamp(event_time),
        dimensions=dict(dimensions),
        grant_mode=pb.GRANT_MODE_UP_TO if up_to else pb.GRANT_MODE_ALL_OR_NOTHING,
    )
    answer: pb.CheckResponse | pb.CheckAndIncrementResponse
    with connect("sidecar", sidecar_address) as channel:
        stub = pb_grpc.EnforcementServiceStub(channel)
        if increment:
            order = counted(question, idempotency_key or "", dict(metadata))
            answer = stub.CheckAndIncrement(order, timeout=timeout_s)
        else:
            answer = stub.Check(question, timeout=timeout_s)
        meant = ""
        prices: Sequence[tuple[str, Cell]] = ()
        if not as_json:
            meant = _what_is_known(stub, question, answer.decision, timeout_s)
            prices = _prices(stub, question, answer, timeout_s)
    if as_json:
        output.print_message(answer)
    else:
        _print(answer, meant, prices)
    ctx.exit(ExitCode.OK if answer.decision.allowed else ExitCode.NEGATIVE)


def _what_is_known(
    stub: pb_grpc.EnforcementServiceStub,
    question: pb.CheckRequest,
    decision: pb.Decision,
    timeout_s: float,
) -> str:
    """Say of an unknown feature which one may have been meant, as other questions do."""
    if decision.reason != pb.REASON_UNKNOWN_FEATURE:
        return ""
    request = pb.GetEntitlementRequest(company=question.company, feature=question.feature)
    try:
        stub.GetEntitlement(request, timeout=timeout_s)
    except grpc.RpcError as error:
        call = cast("grpc.Call", error)
        if call.code() is grpc.StatusCode.NOT_FOUND:
            return call.details().removeprefix("feature: ")
    return ""


def _prices(
    stub: pb_grpc.EnforcementServiceStub,
    question: pb.CheckRequest,
    answer: pb.CheckResponse | pb.CheckAndIncrementResponse,
    timeout_s: float,
) -> Sequence[tuple[str, Cell]]:
    """What was, or would have been, the price of what is burned; nothing where that is not known.

    What was counted before may have burned by other prices.
    """
    was_counted = isinstance(answer, pb.CheckAndIncrementResponse) and answer.replayed
    if was_counted or not answer.decision.burned:
        return ()
    request = pb.GetEntitlementRequest(company=question.company, feature=question.feature)
    if question.HasField("event_time"):
        request.at.CopyFrom(question.event_time)
    try:
        feature = stub.GetEntitlement(request, timeout=timeout_s).entitlement.feature
    except grpc.RpcError:
        return ()
    return list(price_facts(feature, question.dimensions))


def counted(
    question: pb.CheckRequest, idempotency_key: str, metadata: dict[str, str]
) -> pb.CheckAndIncrementRequest:
    """Return the request that counts what the question asks for."""
    order = pb.CheckAndIncrementRequest(
        company=question.company,
        feature=question.feature,
        quantity=question.quantity,
        idempotency_key=idempotency_key,
        dimensions=question.dimensions,
        metadata=metadata,
        grant_mode=question.grant_mode,
    )
    if question.HasField("event_time"):
        order.event_time.CopyFrom(question.event_time)
    return order


def _print(
    answer: pb.CheckResponse | pb.CheckAndIncrementResponse,
    meant: str,
    prices: Sequence[tuple[str, Cell]],
) -> None:
    facts = list(_decision_facts(answer.decision, meant, prices, wall_us()))
    if isinstance(answer, pb.CheckResponse):
        output.print_facts(facts)
        if answer.limits:
            output.print_line()
            output.print_table(*limit_table(answer.limits), tight=True)
        return
    if answer.record_id:
        facts.append(("record", answer.record_id))
    if answer.replayed:
        facts.append(("replayed", "yes: this key was counted before"))
    output.print_facts(facts)


def _decision_facts(
    decision: pb.Decision, meant: str, prices: Sequence[tuple[str, Cell]], at_us: int
) -> Iterable[tuple[str, Cell]]:
    if decision.allowed:
        yield "decision", Painted("allowed", "green")
    else:
        yield "decision", Painted(f"denied: {reason_name(decision.reason)}", "red")
        yield "why", meant or reason_text(decision.reason)
    if plan := decision.basis.default_plan:
        told = f"unknown: the default plan {plan} stands in for it"
        yield "company", Painted(told, "yellow")
    yield "granted", number(decision.granted)
    if decision.HasField("binding_limit"):
        yield from _limit_facts(decision.binding_limit, at_us)
    yield from prices
    yield from burned_facts(decision)
    if decision.HasField("retry_after"):
        yield "retry", f"in {wait_text(decision.retry_after.ToMicroseconds())}"
    for warning in decision.warnings:
        yield "warning", Painted(f"{warning.limit} has reached {warning.percent} %", "yellow")
    for name in decision.throttled:
        yield "throttled", Painted(f"{name} is used up; its rate let this pass", "yellow")
    for name in decision.shadow_denials:
        yield "shadow", Painted(f"{name} would have denied", "yellow")
    if decision.overage:
        yield "over", Painted(f"{number(decision.overage)} of it above a soft limit", "yellow")
    if fallback := fallback_text(decision.basis):
        yield "fallback", Painted(fallback + overruled_text(decision), "yellow")
    yield "basis", basis_text(decision.basis)


def _limit_facts(limit: pb.LimitStatus, at_us: int) -> Iterable[tuple[str, Cell]]:
    rated = is_rate(limit)
    yield "rate" if rated else "limit", limit_name(limit)
    amount = number(limit.amount) if limit.HasField("amount") else "unlimited"
    more = carried_text(limit)
    carried = f"{' and' if limit.carried > 0 else ','} {more}" if more else ""
    yield "used", f"{number(limit.used)} of {amount}{carried}"
    if limit.HasField("remaining"):
        yield "remaining", number(limit.remaining)
    if limit.overage:
        yield "overage", Painted(number(limit.overage), "red")
    if rated and limit.used:
        yield "free again", f"all of it in {wait_text(drains_us(limit))}"
    elif not rated and limit.HasField("resets_at"):
        yield "resets", until(instant_of(limit.resets_at), at_us)
