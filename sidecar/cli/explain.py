"""`tallyd explain`: how an entitlement came about, and what would decide about a check."""

from __future__ import annotations

from collections.abc import Iterable

import click

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from sidecar.cli import output
from sidecar.cli.common import (
    ExitCode,
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
    fail_policy_text,
    fallback_text,
    is_rate,
    overruled_text,
    pairs,
    plan_cause,
    plan_text,
    rate_words,
    reason_name,
    reason_text,
    status_name,
    wait_text,
)
from sidecar.cli.explain_kinds import (
    HOLDERS_SHOWN,
    KindDetails,
    burn_sentence,
    kind_facts,
    kind_headline,
    kind_sentence,
    print_sources_of_balance,
)
from sidecar.cli.explain_tables import (
    CHANGES_NOTHING,
    print_limits,
    print_sources,
    source_name,
    times_held,
)
from sidecar.cli.output import Cell, number
from sidecar.cli.servers import connect
from sidecar.cli.times import InstantType, at_facts, local_minute, time_zone_option
from sidecar.shared.api_json import instant_of
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us


@click.command(
    epilog=examples(
        "tallyd explain acme tokens",
        "tallyd explain acme tokens --quantity 5000 --dimension model=large",
        "tallyd explain acme sso --at 2026-12-31",
    ),
)
@click.argument("company", shell_complete=complete_company)
@click.argument("feature", shell_complete=complete_feature)
@click.option("--at", type=InstantType(), metavar="TIME", help="Instant meant; left out: now.")
@dimension_option
@quantity_option
@time_zone_option
@sidecar_option
@timeout_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    company: str,
    feature: str,
    at: int | None,
    dimensions: tuple[tuple[str, str], ...],
    quantity: int,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Show how COMPANY's entitlement to FEATURE came about, and which limit would bind.

    Counts nothing. TIME may lie in the past or in the future: RFC 3339 with an offset, a date
    (UTC), or a span from now such as +30d. Rates are taken to be at rest then. Ends with 0 when a
    check would be allowed and 1 when it would be denied.
    """
    question = pb.ExplainEntitlementRequest(
        company=company,
        feature=feature,
        at=None if at is None else timestamp(at),
        dimensions=dict(dimensions),
        quantity=quantity,
    )
    with connect("sidecar", sidecar_address) as channel:
        stub = pb_grpc.EnforcementServiceStub(channel)
        answer = stub.ExplainEntitlement(question, timeout=timeout_s)
        details = KindDetails() if as_json else _details(stub, question, answer, timeout_s)
    if as_json:
        output.print_message(answer)
    else:
        _print(question, answer, details, wall_us())
    ctx.exit(ExitCode.OK if answer.decision.allowed else ExitCode.NEGATIVE)


def _details(
    stub: pb_grpc.EnforcementServiceStub,
    question: pb.ExplainEntitlementRequest,
    answer: pb.ExplainEntitlementResponse,
    timeout_s: float,
) -> KindDetails:
    """Ask for what explaining a feature of this kind needs beside."""
    company, feature, kind = question.company, question.feature, answer.entitlement.feature.kind
    if kind == catalog_pb2.FEATURE_KIND_CREDITS:
        usage = pb.GetUsageRequest(company=company, feature=feature)
        if question.HasField("at"):
            usage.at.CopyFrom(question.at)
        return KindDetails(balance=stub.GetUsage(usage, timeout=timeout_s))
    if kind == catalog_pb2.FEATURE_KIND_SEATS and not question.HasField("at"):
        seats = pb.ListSeatsRequest(company=company, feature=feature, page_size=HOLDERS_SHOWN)
        return KindDetails(seats=stub.ListSeats(seats, timeout=timeout_s))
    return KindDetails()


def _print(
    question: pb.ExplainEntitlementRequest,
    answer: pb.ExplainEntitlementResponse,
    details: KindDetails,
    at_us: int,
) -> None:
    company = output.printable(question.company)
    headline = kind_headline(answer, company, details)
    output.print_line(headline or _headline(question, answer.decision))
    output.print_facts([*_facts(question, answer, at_us), *kind_facts(details)])
    output.print_line()
    print_sources(answer)
    if details.sources:
        output.print_line()
        print_sources_of_balance(details)
    elif answer.limits:
        output.print_line()
        print_limits(answer, instant_of(question.at) if question.HasField("at") else at_us)
    if answer.other_limits:
        output.print_text(f"for other dimensions: {', '.join(answer.other_limits)}")
    output.print_line()
    why = kind_sentence(answer) or _why(answer, question.quantity)
    output.print_text(" ".join(filter(None, (why, burn_sentence(answer.decision)))))


def _headline(question: pb.ExplainEntitlementRequest, decision: pb.Decision) -> str:
    much = "" if question.quantity == 1 else f"{number(question.quantity)} "
    feature = f"{much}{output.printable(question.feature)}"
    company = output.printable(question.company)
    if decision.allowed:
        return output.paint(f"{company} may use {feature}", "green")
    return output.paint(f"{company} may not use {feature}: {reason_name(decision.reason)}", "red")


def _facts(
    question: pb.ExplainEntitlementRequest, answer: pb.ExplainEntitlementResponse, present_us: int
) -> Iterable[tuple[str, Cell]]:
    segment = answer.segment
    if question.HasField("at"):
        yield from at_facts(instant_of(question.at), present_us)
    if question.dimensions:
        yield "with", pairs(question.dimensions)
    yield "status", _status(segment)
    yield "plan", _plan(answer)
    yield "in force", _stretch(segment)
    policy = answer.entitlement.feature
    if policy.HasField("fail_policy"):
        yield "fail policy", fail_policy_text(policy.fail_policy)
    yield from price_facts(policy, question.dimensions)
    yield from burned_facts(answer.decision)
    yield "basis", basis_text(answer.decision.basis)


def _status(segment: catalog_pb2.Segment) -> str:
    name = status_name(segment.status)
    if segment.past_grace:
        return f"{name}, beyond its grace"
    after_trial = segment.after_trial and _is_over(segment)
    return f"{name}, after a trial" if after_trial else name


def _is_over(segment: catalog_pb2.Segment) -> bool:
    return segment.status in (
        catalog_pb2.SUBSCRIPTION_STATUS_ENDED,
        catalog_pb2.SUBSCRIPTION_STATUS_CANCELED,
    )


def _plan(answer: pb.ExplainEntitlementResponse) -> str:
    segment = answer.segment
    held = [plan_text(segment.plan, segment.plan_version) or "none"]
    held += [times_held(add_on.add_on, add_on.quantity) for add_on in segment.add_ons]
    text = " + ".join(held)
    why = plan_cause(after_trial=segment.after_trial, after_grace=segment.after_grace)
    if why and not _is_over(segment):
        text += f" ({why})"
    if answer.sources[0].kind == pb.SOURCE_KIND_DEFAULT_PLAN:
        text += " (the default: the company is unknown)"
    return text


def _stretch(segment: catalog_pb2.Segment) -> str:
    parts = []
    if segment.HasField("from"):
        parts.append(f"since {local_minute(instant_of(getattr(segment, 'from')))}")
    if segment.HasField("until"):
        parts.append(f"until {local_minute(instant_of(segment.until))}")
    else:
        parts.append("no change is planned")
    return ", ".join(parts)


def _why(answer: pb.ExplainEntitlementResponse, quantity: int) -> str:
    """Say in one sentence what decided."""
    decision, feature = answer.decision, answer.entitlement.feature
    if fallback := fallback_text(decision.basis):
        return _sentence(fallback + overruled_text(decision))
    if not decision.allowed:
        return _why_not(answer, quantity)
    if feature.kind in (catalog_pb2.FEATURE_KIND_BOOLEAN, catalog_pb2.FEATURE_KIND_CONFIG):
        boolean = feature.kind == catalog_pb2.FEATURE_KIND_BOOLEAN
        return _sentence(f"{_deciding(answer)} {'turns it on' if boolean else 'has the say'}")
    if not decision.HasField("binding_limit"):
        costs = "burns what it costs" if decision.burned else "unlimited"
        return f"No limit applies: usage is recorded, and {costs}."
    limit = decision.binding_limit
    if is_rate(limit):
        return f"Only the rate {limit.limit} applies: {rate_words(limit.rate)}."
    if not limit.HasField("amount"):
        return f"The limit {limit.limit} is unlimited: usage is counted all the same."
    if decision.throttled:
        return f"The limit {decision.throttled[0]} is used up, but its rate lets this pass."
    if decision.overage:
        return f"{number(decision.overage)} of it is overage, above a soft limit."
    if limit.enforcement == catalog_pb2.ENFORCEMENT_SHADOW:
        return f"Nothing but shadow limits applies, such as {limit.limit}: they never deny."
    # Shadow limits and rates bind only where there is nothing else: they are not compared.
    shadow = catalog_pb2.ENFORCEMENT_SHADOW
    compared = [it for it in answer.limits if it.enforcement != shadow and not is_rate(it)]
    one = len(compared) == 1
    ceiling = number(limit.amount + limit.carried)
    return (
        f"The limit {limit.limit} has {'enough' if one else 'the least'} left: "
        f"{number(limit.remaining)} of {ceiling} after this."
    )


def _why_not(answer: pb.ExplainEntitlementResponse, quantity: int) -> str:
    decision = answer.decision
    if decision.reason == pb.REASON_NOT_ENTITLED:
        if answer.sources[-1].HasField("result"):
            return _sentence(f"{_deciding(answer)} turns it off")
        if not answer.segment.plan:
            return "There is no plan, and no override grants it."
        return "No source grants it."
    if not decision.HasField("binding_limit"):
        return _sentence(reason_text(decision.reason))
    limit = decision.binding_limit
    if decision.reason == pb.REASON_LEASE_UNAVAILABLE:
        return _sentence(f"limit {limit.limit}: {reason_text(decision.reason)}")
    wait = "waiting does not help"
    if decision.HasField("retry_after"):
        wait = f"the wait is {wait_text(decision.retry_after.ToMicroseconds())}"
    if limit.enforcement == catalog_pb2.ENFORCEMENT_THROTTLE:
        left = f"The limit {limit.limit} and the rate past it have less left than"
    else:
        what = "rate" if is_rate(limit) else "limit"
        left = f"The {what} {limit.limit} has {number(limit.remaining)} left, less than"
    return f"{left} the {number(quantity)} asked for; {wait}."


def _deciding(answer: pb.ExplainEntitlementResponse) -> str:
    """Name the last source that changed anything."""
    deciding = [source for source in answer.sources if source.effect not in CHANGES_NOTHING]
    return source_name(deciding[-1])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
