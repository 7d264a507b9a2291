"""The demo on the sample catalog: one decision of each kind, each checked."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Final

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.cli import output
from sidecar.cli.replay import print_tally, replay_trace, scan_trace, shift_us_of
from sidecar.cli.servers import connect
from sidecar.demo import life, pods
from sidecar.demo.asks import Ask, Scene, play
from sidecar.demo.kinds import KindsPart
from sidecar.demo.ledger import heading, ledger_sums, reconciled
from sidecar.demo.system import CALL_S_MAX, System, expect
from sidecar.shared.wall_clock import wall_us
from sidecar.traces.driver import ReplayPlan
from sidecar.traces.model import SkippedLine, TraceRow
from sidecar.traces.trace import Trace

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
        samples = resources.files("sidecar.demo.samples")
        catalog = files.enter_context(resources.as_file(samples / "catalog.yaml"))
        traffic = files.enter_context(resources.as_file(samples / "traffic.jsonl"))
        _apply(system, catalog)
        _send_traffic(system, traffic, counted)
    _decide(system, counted)
    counted.update(life.tell(system))
    counted.update(pods.tell(system))
    kinds = KindsPart()
    kinds.tell(system)
    counted.update(kinds.counted)
    _show_usage(system)
    comparison = reconciled(system)
    reconciled(system, second=True)
    kinds.compare(system)
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
    event_us = wall_us()
    with connect("sidecar", system.sidecar) as channel:
        stub = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        for scene in SCENES:
            heading(scene.title)
            counted.update(play(stub, scene.asks, event_us))
        heading("A feature that is a value: how many days data is kept")
        for company, value in CONFIG_VALUES.items():
            asked = api.GetEntitlementRequest(company=company, feature="retention_days")
            told = stub.GetEntitlement(asked, timeout=CALL_S_MAX).entitlement.config_value
            output.print_line(f"{company}: {told}")
            expect(told == value, f"retention_days of {company} is {told}, not {value}")


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
