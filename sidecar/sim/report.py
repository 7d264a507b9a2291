"""A play as text of 80 columns, and as values for scripts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sidecar.domain.formatting import instant_text
from sidecar.domain.levels.billing import average_text
from sidecar.domain.time.zones import load_zone
from sidecar.shared.catalog_file.problems import path_text
from sidecar.sim.billing import BilledPeriod, FeatureSum, HeldStretch, WindowSum
from sidecar.sim.expectations import Unmet
from sidecar.sim.play import Played
from sidecar.sim.told import count_text, local_text, moment_text, number_text, span_text

COLUMNS: Final = 80
_KIND: Final = 9
"""Columns of the word that says what kind of event it is."""


class ReportLine(NamedTuple):
    """A line, and the kind of event that it tells of; empty for none."""

    text: str
    kind: str = ""


def report_lines(played: Played) -> Iterator[ReportLine]:
    """The timeline, what would be billed, and whether all was as expected."""
    scenario = played.scenario
    zone = load_zone(scenario.company.time_zone)
    company = scenario.company.name or scenario.company.id
    title = scenario.name or scenario.source
    yield ReportLine(f"{title}: {company}, times in {zone.key}")
    yield ReportLine("")
    before = ""
    for event in played.events:
        moment = local_text(zone, event.at_us)
        shown = "" if moment == before else moment
        before = moment
        yield from _wrapped(f"{shown:<16}  {event.kind:<{_KIND}}  ", event.text, event.kind)
    if played.left_out:
        yield ReportLine(f"and {played.left_out} more")
    yield ReportLine("")
    yield ReportLine("what would be billed")
    for period in played.periods:
        yield from _period_lines(period, zone)
    yield ReportLine("")
    yield from _outcome_lines(played)


def report_json(played: Played) -> dict[str, object]:
    """The same for scripts: instants in RFC 3339, quantities as numbers."""
    scenario = played.scenario
    return {
        "scenario": scenario.name or scenario.source,
        "company": scenario.company.id,
        "time_zone": scenario.company.time_zone,
        "starts_at": instant_text(scenario.starts_us),
        "ends_at": instant_text(scenario.ends_us),
        "warnings": list(scenario.warnings),
        "checks": played.checks,
        "events": [
            {
                "at": instant_text(event.at_us),
                "kind": event.kind.replace(" ", "_"),
                "text": event.text,
                **_json_data(event.data),
            }
            for event in played.events
        ],
        "events_left_out": played.left_out,
        "periods": [_json_period(period) for period in played.periods],
        "expected": played.expected,
        "unmet": [
            {"line": at.line, "column": at.column, "field": path_text(path), "message": message}
            for at, path, message in played.unmet
        ],
    }


def unmet_line(unmet: Unmet, source: str) -> str:
    """What is not as expected, with its place, as problems of files are told."""
    return f"{source}:{unmet.at.line}:{unmet.at.column}: {path_text(unmet.path)}: {unmet.message}"


def _outcome_lines(played: Played) -> Iterator[ReportLine]:
    checks = count_text(played.checks, "check")
    if played.unmet:
        told = f"{count_text(len(played.unmet), 'expectation')} not met"
        yield ReportLine(f"{checks}; {told}:", "not met")
        for unmet in played.unmet:
            yield ReportLine(f"  {unmet_line(unmet, played.scenario.source)}", "not met")
    elif played.expected:
        yield ReportLine(f"{checks}; {count_text(played.expected, 'expectation')} met")
    else:
        yield ReportLine(f"{checks}; nothing was expected")


def _period_lines(period: BilledPeriod, zone: ZoneInfo) -> Iterator[ReportLine]:
    title = f"{moment_text(zone, period.from_us)} - {moment_text(zone, period.until_us)}"
    if period.ends_us is None:
        title += "  no subscription"
    elif period.until_us < period.ends_us:
        title += f"  (of a period until {moment_text(zone, period.ends_us)})"
    yield ReportLine(title)
    for stretch in period.held:
        yield from _wrapped("  ", _stretch_text(stretch, period, zone), "", indent=4)
    for feature, found in period.features.items():
        yield from _wrapped("  ", _feature_text(feature, found, period), "", indent=4)
    for feature, burned in period.kinds.burned.items():
        yield from _wrapped("  ", f"{feature}: {number_text(burned)} burned", "", indent=4)
    for (feature, limit), windows in period.windows.items():
        if not windows.used:
            continue
        told = f"{feature} {limit}: {_windows_text(windows)}"
        yield from _wrapped("  ", told, "", indent=4)


def _feature_text(feature: str, found: FeatureSum, period: BilledPeriod) -> str:
    told = []
    if level := period.kinds.levels.get(feature):
        average = average_text(level.average)
        told.append(f"{number_text(level.peak)} in use at most, {average} on average")
    elif found.records or not period.kinds.is_of_seats(feature):
        told.append(f"{number_text(found.quantity)} used in {count_text(found.records, 'record')}")
    if found.overage:
        told.append(f"{number_text(found.overage)} over, billable")
    if found.denied:
        told.append(f"{number_text(found.denied)} denied")
    return f"{feature}: {', '.join(told)}"


def _windows_text(windows: WindowSum) -> str:
    told = f"{count_text(windows.windows, 'window')} ended"
    if windows.windows == 1:
        told += f", {number_text(windows.used)} used"
    else:
        told += f", the most used {number_text(windows.most_used)}"
        told += f", {number_text(windows.used_up)} used up" if windows.used_up else ""
    return told + (f", {number_text(windows.overage)} over" if windows.overage else "")


def _stretch_text(stretch: HeldStretch, period: BilledPeriod, zone: ZoneInfo) -> str:
    told = f"{stretch.kind} {stretch.key}"
    told += f" x {number_text(stretch.quantity)}" if stretch.kind == "add-on" else ""
    told += f": {span_text(zone, stretch.from_us, stretch.until_us)}"
    if (stretch.from_us, stretch.until_us) != (period.from_us, period.until_us):
        told += f", {moment_text(zone, stretch.from_us)} - {moment_text(zone, stretch.until_us)}"
    if not stretch.billable:
        told += f"; {stretch.status}, not billable"
    elif stretch.status != "active":
        told += f"; {stretch.status}"
    return told


def _wrapped(head: str, text: str, kind: str, *, indent: int | None = None) -> Iterator[ReportLine]:
    room = " " * (len(head) if indent is None else indent)
    lines = textwrap.wrap(
        text, COLUMNS, initial_indent=head, subsequent_indent=room, break_on_hyphens=False
    )
    for line in lines:
        yield ReportLine(line, kind)


def _json_data(data: Mapping[str, object]) -> dict[str, object]:
    return {
        (f"{name[:-3]}_at" if name.endswith("_us") else name): (
            instant_text(value) if name.endswith("_us") and isinstance(value, int) else value
        )
        for name, value in data.items()
    }


def _json_period(period: BilledPeriod) -> dict[str, object]:
    return {
        "from": instant_text(period.from_us),
        "until": instant_text(period.until_us),
        "period_ends_at": None if period.ends_us is None else instant_text(period.ends_us),
        "held": [
            {
                "kind": stretch.kind,
                "key": stretch.key,
                "quantity": stretch.quantity,
                "status": stretch.status,
                "billable": stretch.billable,
                "from": instant_text(stretch.from_us),
                "until": instant_text(stretch.until_us),
            }
            for stretch in period.held
        ],
        "features": [
            {
                "feature": feature,
                "records": found.records,
                **_json_used(feature, found, period),
                "overage": found.overage,
                "denied": found.denied,
            }
            for feature, found in period.features.items()
        ],
        "credits": [
            {"feature": feature, "burned": burned}
            for feature, burned in period.kinds.burned.items()
        ],
        "limits": [
            {
                "feature": feature,
                "limit": limit,
                "windows": windows.windows,
                "used": windows.used,
                "most_used": windows.most_used,
                "overage": windows.overage,
                "used_up": windows.used_up,
            }
            for (feature, limit), windows in period.windows.items()
        ],
    }


def _json_used(feature: str, found: FeatureSum, period: BilledPeriod) -> dict[str, object]:
    """How much was used; of a level, how much was in use."""
    level = period.kinds.levels.get(feature)
    if level is None:
        return {"used": found.quantity}
    return {"peak": level.peak, "average": average_text(level.average)}
