"""The demo on the sample catalog: one decision of each kind, each checked."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.cli import output
from sidecar.cli.demo_ledger import heading, ledger_sums, reconciled
from sidecar.cli.demo_system import CALL_S_MAX, System, expect
from sidecar.cli.messages import enum_name, timestamp_of
from sidecar.cli.output import Painted
from sidecar.cli.replay import print_tally, replay_trace, scan_trace, shift_us_of
from sidecar.cli.servers import connect
from sidecar.cli.times import now_us
from sidecar.cli.traces.driver import ReplayPlan
from sidecar.cli.traces.model import SkippedLine, TraceRow
from sidecar.cli.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class Ask:
    """A check, and the answer that it must get. `counts`: CheckAndIncrement rather than Check."""

    company: str
    feature: str
    quantity: int = 1
    user: str = ""
    key: str = ""
    counts: bool = True
    reason: str = "ALLOWED"
    overage: int = 0
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A few checks that show one thing."""

    title: str
    asks: tuple[Ask, ...]


SCENES: Final = (
    Scene(
        "Within the limit: allowed",
        (Ask("acme", "tokens", 60_000),),
    ),
    Scene(
        "Past a SOFT limit: allowed, and what lies above is recorded as overage",
        (Ask("acme", "tokens", 50_000, overage=10_000),),
    ),
    Scene(
        "Past a HARD limit: denied, and nothing is counted",
        (
            Ask("globex", "exports", 2),
            Ask("globex", "exports", 2, reason="LIMIT_EXCEEDED"),
            Ask("globex", "exports", 1),
        ),
    ),
    Scene(
        "The same call again, with its idempotency key: the first answer, and counted once",
        (
            Ask("acme", "exports", 10, key="order-4711"),
            Ask("acme", "exports", 10, key="order-4711", replayed=True),
        ),
    ),
    Scene(
        "A feature that is on or off: the team plan has it, the free plan does not",
        (
            Ask("acme", "sso", counts=False),
            Ask("globex", "sso", counts=False, reason="NOT_ENTITLED"),
        ),
    ),
    Scene(
        "A limit for each user: ana's three messages a day are used up, ben's are not",
        (
            Ask("acme", "messages", 3, user="ana"),
            Ask("acme", "messages", 1, user="ana", reason="LIMIT_EXCEEDED"),
            Ask("acme", "messages", 1, user="ben"),
        ),
    ),
)
CONFIG_VALUES: Final = {"acme": "365", "globex": "30"}


def tell(system: System) -> None:
    """Run the whole story; `DemoFailed` where an answer is not as it must be."""
    counted: Counter[str] = Counter()
    with ExitStack() as files:
        samples = resources.files("sidecar.cli.samples")
        catalog = files.enter_context(resources.as_file(samples / "catalog.yaml"))
        traffic = files.enter_context(resources.as_file(samples / "traffic.jsonl"))
        _apply(system, catalog)
        _send_traffic(system, traffic, counted)
    _decide(system, counted)
    _show_usage(system)
    comparison = reconciled(system)
    _show_ledger(system)
    sums = ledger_sums(system)
    expect(
        dict(counted) == {feature: total.quantity for feature, total in sums.items()},
        f"the ledger's sums are not what was counted: {dict(counted)}",
    )
    expect(comparison.accepted_records > 0, "nothing was recorded")


def _apply(system: System, catalog: Path) -> None:
    heading("A catalog: features, plans with limits, and companies that bought them")
    applied = system.run_cli("apply", str(catalog), "--control", system.control, "--json")
    answer = json.loads(applied)
    system.wait_for_revision(answer["revision"])
    output.print_line(f"{answer['changed']} objects applied as revision {answer['revision']}.")


def _send_traffic(system: System, traffic: Path, counted: Counter[str]) -> None:
    heading("An hour and a half of sample traffic, replayed in batches")
    trace = Trace(traffic, "jsonl")

    def add(item: TraceRow | SkippedLine) -> None:
        if isinstance(item, TraceRow):
            for check in item.checks:
                counted[check.feature] += check.quantity

    scan = scan_trace(trace, on_item=add)
    plan = ReplayPlan(concurrency=2, batch=40, shift_us=shift_us_of(scan), row_keys=True)
    tally = replay_trace(trace, scan, plan, system.sidecar)
    print_tally(tally)
    expect(tally.allowed == scan.checks, "not every check of the sample traffic was allowed")


def _decide(system: System, counted: Counter[str]) -> None:
    # One instant for all of them, so that no window ends in the middle of the story.
    event_us = now_us()
    with connect("sidecar", system.sidecar) as channel:
        stub = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        for scene in SCENES:
            heading(scene.title)
            rows = []
            for ask in scene.asks:
                answer = _ask(stub, ask, event_us)
                rows.append(_row(ask, answer))
                _check(ask, answer)
                if ask.counts and not answer.replayed:
                    counted[ask.feature] += answer.decision.granted
            output.print_table(
                ("company", "feature", "asked", "answer", "why", "used", "limit", "over"), rows
            )
        heading("A feature that is a value: how many days data is kept")
        for company, value in CONFIG_VALUES.items():
            asked = api.GetEntitlementRequest(company=company, feature="retention_days")
            told = stub.GetEntitlement(asked, timeout=CALL_S_MAX).entitlement.config_value
            output.print_line(f"{company}: {told}")
            expect(told == value, f"retention_days of {company} is {told}, not {value}")


def _ask(
    stub: enforcement_pb2_grpc.EnforcementServiceStub, ask: Ask, event_us: int
) -> api.CheckAndIncrementResponse:
    dimensions = {"user": ask.user} if ask.user else {}
    event_time = timestamp_of(event_us)
    if not ask.counts:
        question = api.CheckRequest(
            company=ask.company,
            feature=ask.feature,
            quantity=ask.quantity,
            dimensions=dimensions,
            event_time=event_time,
        )
        decision = stub.Check(question, timeout=CALL_S_MAX).decision
        return api.CheckAndIncrementResponse(decision=decision)
    return stub.CheckAndIncrement(
        api.CheckAndIncrementRequest(
            company=ask.company,
            feature=ask.feature,
            quantity=ask.quantity,
            dimensions=dimensions,
            event_time=event_time,
            idempotency_key=ask.key,
        ),
        timeout=CALL_S_MAX,
    )


def _row(ask: Ask, answer: api.CheckAndIncrementResponse) -> tuple[output.Cell, ...]:
    decision = answer.decision
    limit = decision.binding_limit if decision.HasField("binding_limit") else None
    shown = Painted("allowed", "green") if decision.allowed else Painted("denied", "red")
    if answer.replayed:
        shown = Painted("replayed", "cyan")
    ceiling: output.Cell = None
    if limit is not None and limit.HasField("amount"):
        kind = enum_name(catalog_pb2.Enforcement.DESCRIPTOR, limit.enforcement)
        ceiling = f"{output.number(limit.amount)} {kind}"
    return (
        f"{ask.company} ({ask.user})" if ask.user else ask.company,
        ask.feature,
        ask.quantity,
        shown,
        str(enum_name(api.Reason.DESCRIPTOR, decision.reason)),
        None if limit is None else limit.used,
        ceiling,
        decision.overage or None,
    )


def _check(ask: Ask, answer: api.CheckAndIncrementResponse) -> None:
    got = (
        enum_name(api.Reason.DESCRIPTOR, answer.decision.reason),
        answer.decision.allowed,
        answer.decision.overage,
        answer.replayed,
    )
    wanted = (ask.reason, ask.reason == "ALLOWED", ask.overage, ask.replayed)
    expect(got == wanted, f"{ask} got {got} instead")


def _show_usage(system: System) -> None:
    heading("Usage of acme, as the sidecar knows it")
    with connect("sidecar", system.sidecar) as channel:
        stub = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        usage = stub.GetUsage(api.GetUsageRequest(company="acme"), timeout=CALL_S_MAX)
    rows: list[tuple[output.Cell, ...]] = []
    for feature in usage.features:
        for limit in feature.limits:
            of = ", ".join(f"{name} {value}" for name, value in sorted(limit.dimensions.items()))
            amount = limit.amount if limit.HasField("amount") else None
            rows.append(
                (
                    feature.feature,
                    f"{limit.limit} ({of})" if of else limit.limit,
                    limit.used,
                    amount,
                    output.bar(limit.used, amount),
                )
            )
    output.print_table(("feature", "limit", "used", "of", ""), rows)
    expect(bool(rows), "the sidecar shows no usage of acme")


def _show_ledger(system: System) -> None:
    heading("The ledger of the control plane, by company")
    request = control_pb2.QueryUsageRequest(group_by=[control_pb2.USAGE_GROUP_COMPANY])
    with connect("control", system.control) as channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        sums = control.QueryUsage(request, timeout=CALL_S_MAX).sums
    output.print_table(
        ("company", "feature", "records", "quantity", "over limit"),
        [(held.company, held.feature, held.records, held.quantity, held.overage) for held in sums],
    )
