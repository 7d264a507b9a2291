"""The demo on recorded traffic: limits made for it, sent twice, compared with the file itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median_low
from typing import Final

import click

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import CliError, ExitCode
from sidecar.cli.replay import REPLAY_US_MAX, print_tally, replay_trace, scan_trace, shift_us_of
from sidecar.cli.servers import connect
from sidecar.cli.times import span_of
from sidecar.demo.ledger import heading, ledger_sums, reconciled
from sidecar.demo.system import CALL_S_MAX, System, expect
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.shared.convert.times import timestamp
from sidecar.traces.driver import ReplayPlan
from sidecar.traces.model import SkippedLine, TraceError, TraceRow
from sidecar.traces.summary import ReplaySummary
from sidecar.traces.trace import Trace, TraceScan

PLAN: Final = "trace"
COMPANIES_MAX: Final = 1_000_000
COMPANIES_PER_CALL: Final = 5_000
COMPANIES_SHOWN: Final = 10
FEATURES_SHOWN: Final = 3
CONCURRENCY: Final = 4
BATCH: Final = 250


@dataclass(slots=True)
class FileSums:
    """The file's own sums, made while it is read: by feature and company, in the feature's unit."""

    quantity: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    companies: set[str] = field(default_factory=set)

    def add(self, item: TraceRow | SkippedLine) -> None:
        """Add a row."""
        for check in item.checks if isinstance(item, TraceRow) else ():
            self.quantity[check.feature][check.company] += check.quantity
            self.companies.add(check.company)
        if len(self.companies) > COMPANIES_MAX:
            raise TraceError(f"has more than {COMPANIES_MAX} companies, too many for the demo")

    def total(self, feature: str) -> int:
        """Return the sum over all companies."""
        return self.quantity[feature].total()

    def limit(self, feature: str) -> int:
        """Choose a limit that some companies pass and others do not.

        Halfway between the median company and the largest, and below the largest in any case.
        """
        totals = self.quantity[feature].values()
        largest = max(totals)
        return min((median_low(totals) + largest) // 2, largest * 19 // 20)

    def overage(self, feature: str) -> int:
        """Return what all companies have above the limit, each counted by itself."""
        limit = self.limit(feature)
        return sum(max(0, total - limit) for total in self.quantity[feature].values())

    def largest_companies(self, count: int) -> list[str]:
        """Return those with most of the feature that most companies use."""
        leading = max(self.quantity, key=lambda feature: len(self.quantity[feature]))
        return [company for company, _ in self.quantity[leading].most_common(count)]


class TraceDemo:
    """A trace that has been read, and is ready to be sent.

    Raises `CliError` for a file that cannot be used.
    """

    def __init__(self, file: Path, format_name: str) -> None:
        self._trace = Trace(file, format_name)
        self._sums = FileSums()
        heading(f"Read {output.printable(file.name)}")
        try:
            self._scan = scan_trace(self._trace, on_item=self._sums.add)
        except TraceError as error:
            raise CliError(str(error), exit_code=ExitCode.USAGE, field="--trace") from None
        if not self._scan.rows:
            raise CliError("has no rows", exit_code=ExitCode.USAGE, field="--trace")
        _show_file(self._scan, self._sums)

    def tell(self, system: System) -> None:
        """Run it; `DemoFailed` where the ledger is not what the file says."""
        checks = self._scan.checks
        _apply(system, self._sums)
        first = self._send(system, "Sent to the sidecar, in batches")
        expect(first.sent == checks, f"{first.sent} of {checks} checks were sent")
        expect(first.errors == 0, f"{first.errors} checks failed")
        expect(first.denied == 0, f"{first.denied} checks were denied, though no limit is HARD")
        reconciled(system)
        _show_companies(system, self._sums)
        _compare_sums(system, self._sums)
        again = self._send(system, "The same file once more, with the same keys")
        expect(
            again.replayed + again.asked == again.sent == checks,
            f"{again.replayed} of {checks - again.asked} checks that count were replayed",
        )
        expect(again.quantity == first.quantity, "the second replay got other answers")
        comparison = reconciled(system)
        _compare_sums(system, self._sums)
        expect(
            comparison.ledger_records == checks - first.asked,
            "a check is twice in the ledger, or missing",
        )

    def _send(self, system: System, title: str) -> ReplaySummary:
        heading(title)
        shift_us = None
        if self._scan.span_us > EVENT_PAST_US_MAX - REPLAY_US_MAX:
            output.print_line("The trace spans more than 35 days: everything counts as of now.")
        else:
            shift_us = shift_us_of(self._scan)
        plan = ReplayPlan(concurrency=CONCURRENCY, batch=BATCH, shift_us=shift_us, row_keys=True)
        tally = replay_trace(self._trace, self._scan, plan, system.sidecar)
        print_tally(tally)
        return tally


def _show_file(scan: TraceScan, sums: FileSums) -> None:
    output.print_facts(
        [
            ("rows", scan.rows),
            ("skipped", scan.skipped),
            ("checks", scan.checks),
            ("companies", len(sums.companies)),
            ("spans", span_of(scan.span_us)),
        ]
    )


def _apply(system: System, sums: FileSums) -> None:
    heading("A plan with a SOFT limit for each feature, and every company of the file on it")
    limits = {feature: sums.limit(feature) for feature in sorted(sums.quantity)}
    companies = iter(sorted(sums.companies))
    request = control_pb2.ApplyRequest(catalog=_catalog(limits))
    revision = 0
    with connect("control", system.control) as channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        while group := list(islice(companies, COMPANIES_PER_CALL)):
            request.companies.extend(_company(company) for company in group)
            revision = control.Apply(request, timeout=CALL_S_MAX).revision
            request = control_pb2.ApplyRequest()
    system.wait_for_revision(revision)
    output.print_table(("feature", "limit for each company"), sorted(limits.items()))


def _catalog(limits: Mapping[str, int]) -> catalog_pb2.Catalog:
    features = [
        catalog_pb2.Feature(key=feature, kind=catalog_pb2.FEATURE_KIND_METERED)
        for feature in limits
    ]
    grants = [
        catalog_pb2.EntitlementGrant(feature=feature, limits=[_limit(amount)])
        for feature, amount in limits.items()
    ]
    plan = catalog_pb2.Plan(key=PLAN, entitlements=grants)
    return catalog_pb2.Catalog(features=features, plans=[plan])


def _limit(amount: int) -> catalog_pb2.Limit:
    return catalog_pb2.Limit(
        id="total",
        amount=amount,
        # One window for ever, so that the sums do not depend on the day that the demo runs.
        window=catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_LIFETIME),
        enforcement=catalog_pb2.ENFORCEMENT_SOFT,
    )


def _company(company: str) -> catalog_pb2.Company:
    # Any anchor does: LIFETIME windows have none.
    subscription = catalog_pb2.Subscription(plan=PLAN, anchor=timestamp(0))
    return catalog_pb2.Company(id=company, subscription=subscription)


def _show_companies(system: System, sums: FileSums) -> None:
    features = sorted(sums.quantity)[:FEATURES_SHOWN]
    heading(f"The ledger: the {COMPANIES_SHOWN} largest companies, and all")
    titles = ["company"]
    for feature in features:
        titles += [feature, "over limit"]
    rows = [
        _company_row(company, features, ledger_sums(system, company))
        for company in sums.largest_companies(COMPANIES_SHOWN)
    ]
    rows.append(_company_row("all", features, ledger_sums(system)))
    output.print_table(titles, rows)
    if len(sums.quantity) > FEATURES_SHOWN:
        output.print_line(f"{len(sums.quantity) - FEATURES_SHOWN} more features are not shown.")


def _company_row(
    name: str, features: Iterable[str], held: Mapping[str, control_pb2.UsageSum]
) -> list[output.Cell]:
    row: list[output.Cell] = [name]
    for feature in features:
        total = held.get(feature, control_pb2.UsageSum())
        row += [total.quantity, total.overage]
    return row


def _compare_sums(system: System, sums: FileSums) -> None:
    """Show the file's sums beside the ledger's; `DemoFailed` unless they are equal."""
    heading("The file's own sums, and the ledger's")
    held = ledger_sums(system)
    rows: list[list[output.Cell]] = []
    for feature in sorted(sums.quantity):
        total = held.get(feature, control_pb2.UsageSum())
        for what, of_file, of_ledger in (
            ("quantity", sums.total(feature), total.quantity),
            ("over limit", sums.overage(feature), total.overage),
        ):
            same = of_file == of_ledger
            verdict = output.Painted("equal" if same else "DIFFERENT", "green" if same else "red")
            rows.append([feature, what, of_file, of_ledger, verdict])
    output.print_table(("feature", "", "file", "ledger", ""), rows)
    expect(held.keys() <= sums.quantity.keys(), "the ledger has a feature that the file has not")
    expect(all(row[2] == row[3] for row in rows), "the ledger's sums are not those of the file")
    click.echo("The ledger's sums are those of the file.")
