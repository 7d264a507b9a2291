"""Reads a scenario file: text, shape, catalogs, company, steps; problems are told with places."""

from __future__ import annotations

from itertools import islice
from pathlib import Path as FilePath
from typing import Final

from msgspec.structs import replace

from sidecar.domain.time.zones import is_zone, unknown_zone
from sidecar.shared.catalog_file.fields import Fields, entry_of, items_of, own_text, text_of
from sidecar.shared.catalog_file.load import read_bytes, tree_of
from sidecar.shared.catalog_file.locations import located
from sidecar.shared.catalog_file.problems import CatalogFileError
from sidecar.shared.catalog_file.schema_check import shape_findings
from sidecar.shared.catalog_file.yaml_tree import Scalar, Table, plain
from sidecar.sim.catalogs import CatalogInForce
from sidecar.sim.instants import ScenarioClock
from sidecar.sim.model import CHECKS_MAX, SPAN_US_MAX, STEPS_MAX, Scenario, ScenarioStep, UsageStep
from sidecar.sim.schema import scenario_schema_text
from sidecar.sim.steps import StepBuilder

_FINDINGS_MAX: Final = 1000


def load_scenario(path: str | FilePath) -> Scenario:
    """Read a file. Raises `CatalogFileError` with what is wrong, also if it cannot be read."""
    return parse_scenario(read_bytes(path), str(path), FilePath(path).parent)


def parse_scenario(data: bytes, source: str, folder: FilePath) -> Scenario:
    """Read the bytes of a file whose paths start from a folder; `source` is its name for messages.

    Raises `CatalogFileError` with all that is wrong with the shape; else with what is wrong with
    the first catalog or override that is; else with the rest.
    """
    root, problems = tree_of(data, source, "catalog, company and steps")
    findings = list(islice(shape_findings(plain(root), scenario_schema_text), _FINDINGS_MAX))
    problems += located(root, findings)
    if problems:
        raise CatalogFileError(source, problems)
    return _Loader(root, source, folder).scenario()


class _Loader:
    """Reads the tree of one scenario, whose shape is right."""

    def __init__(self, root: Table, source: str, folder: FilePath) -> None:
        self._root = root
        self._source = source
        self._fields = Fields()
        self._catalog = CatalogInForce(source, folder, root.entries["catalog"])

    def scenario(self) -> Scenario:
        """The scenario. Raises `CatalogFileError`."""
        catalog = self._catalog.content
        clock = ScenarioClock(self._time_zone())
        starts_us = self._instant(("starts_at",), clock)
        clock.starts_us = starts_us
        company = self._catalog.company(self._root.entries["company"], clock)
        builder = StepBuilder(self._fields, self._catalog, clock)
        steps = builder.steps(items_of(self._root, "steps") or [])
        self._raise_findings()
        ends_us = self._ends_us(steps, clock)
        steps = _with_ends(steps, ends_us)
        self._require_bounds(steps, starts_us, ends_us)
        name = text_of(self._root, "name")
        warnings = tuple(self._catalog.warnings)
        return Scenario(self._source, catalog, company, starts_us, ends_us, steps, name, warnings)

    def _time_zone(self) -> str:
        node = self._root.entries["company"]
        if isinstance(node, Scalar):
            return self._catalog.company_of_file(node).time_zone
        name = text_of(node, "time_zone", "UTC")
        if not is_zone(name):
            self._fields.note(("company", "time_zone"), unknown_zone(name))
            self._raise_findings()
        return name

    def _ends_us(self, steps: tuple[ScenarioStep, ...], clock: ScenarioClock) -> int:
        if entry_of(self._root, "ends_at") is not None:
            return self._instant(("ends_at",), clock)
        ends = [clock.starts_us, *(step.at_us for step in steps)]
        ends += [step.action.until_us for step in steps if isinstance(step.action, UsageStep)]
        return max(ends)

    def _instant(self, path: tuple[str], clock: ScenarioClock) -> int:
        text = own_text(entry_of(self._root, path[0]))
        try:
            if path == ("starts_at",):
                return clock.absolute(text)
            return clock.instant(text, clock.starts_us)
        except ValueError as error:
            self._fields.note(path, str(error))
            self._raise_findings()
            raise AssertionError("a finding was noted") from None

    def _require_bounds(
        self, steps: tuple[ScenarioStep, ...], starts_us: int, ends_us: int
    ) -> None:
        if ends_us < starts_us:
            self._fields.note(("ends_at",), "is before starts_at")
        if ends_us - starts_us > SPAN_US_MAX:
            path = ("ends_at",) if entry_of(self._root, "ends_at") is not None else ("steps",)
            self._fields.note(path, "the scenario is longer than five years")
        if len(steps) > STEPS_MAX:
            self._fields.note(("steps",), f"are more than {STEPS_MAX}")
        for at, step in enumerate(steps):
            if step.at_us > ends_us:
                self._fields.note(("steps", at, "at"), "is after ends_at")
        checks = sum(_checks(step) for step in steps)
        if checks > CHECKS_MAX:
            self._fields.note(("steps",), f"use {checks} times; the most is {CHECKS_MAX}")
        self._raise_findings()

    def _raise_findings(self) -> None:
        findings = self._fields.findings
        if findings:
            raise CatalogFileError(self._source, located(self._root, findings))


def _with_ends(steps: tuple[ScenarioStep, ...], ends_us: int) -> tuple[ScenarioStep, ...]:
    """The steps, where usage that has no end goes on to the scenario's, and none beyond it."""
    ended = []
    for step in steps:
        action = step.action
        if isinstance(action, UsageStep) and action.every_us is not None:
            until_us = min(action.until_us or ends_us, ends_us)
            ended.append(replace(step, action=replace(action, until_us=until_us)))
        else:
            ended.append(step)
    return tuple(ended)


def _checks(step: ScenarioStep) -> int:
    action = step.action
    if not isinstance(action, UsageStep):
        return 0
    if action.every_us is None:
        return 1
    return max(0, -(-(action.until_us - step.at_us) // action.every_us))
