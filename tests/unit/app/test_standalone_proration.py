"""A file that changes a company's plan within a month of credits, read by a sidecar on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.app.standalone import load_standalone
from sidecar.directory.directory import Directory
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.time.units import DAY_US
from sidecar.shared.instants import instant_of_text
from tests.support.stores import MemoryDisk, OpenedStore

FILE: Final = """
features: {ai: {kind: credits}}
plans:
  small: {entitlements: {ai: {limits: {included: {amount: 300, per: month}}}}}
  large: {proration: by time, entitlements: {ai: {limits: {included: {amount: 900, per: month}}}}}
companies:
  acme: {plan: small, anchor: 2026-01-01}
"""
APRIL: Final = instant_of_text("2026-04-01T00:00:00Z")  # has 30 days


def granted(path: Path, disk: MemoryDisk, now_us: int) -> int | None:
    """What is granted in the month, once a sidecar has read the file."""
    opened = OpenedStore(disk)
    load_standalone(str(path), opened.snapshots, Directory(opened.snapshots, 10), now_us)
    held, catalog = opened.snapshots.company("acme"), opened.snapshots.catalog()
    assert held is not None
    assert catalog is not None
    found = CatalogIndex(catalog.catalog, 1).resolve(segment_at(held, now_us), "ai")
    assert found is not None
    (limit,) = found.limits
    return limit.amount


def test_the_month_grants_its_part_by_time_and_does_so_after_a_restart(tmp_path: Path) -> None:
    path, disk = tmp_path / "catalog.yaml", MemoryDisk()
    path.write_text(FILE)
    assert 300 == granted(path, disk, APRIL)
    path.write_text(FILE.replace("plan: small", "plan: large"))
    days = (10, 11, 29, 30)
    assert [700, 700, 700, 900] == [granted(path, disk, APRIL + day * DAY_US) for day in days]
