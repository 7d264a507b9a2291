"""A file that leaves the billing anchor open, read by a sidecar that is on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.app.standalone import load_standalone
from sidecar.directory.directory import Directory
from sidecar.domain.company.model import Phase, SubscriptionStatus
from sidecar.domain.company.timeline import phase_at
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.support.stores import MemoryDisk, OpenedStore

FILE: Final = """
features: {calls: {kind: metered}}
plans:
  free: {}
  pro:
    trial: {length: 14d}
    grace: {length: 7d, then: {plan: free}}
companies:
  acme: {plan: pro}
  late: {plan: pro, past_due: {since: 2026-01-31T00:00:00Z}}
"""


def loaded(path: Path, disk: MemoryDisk, now_us: int, company: str = "acme") -> Phase:
    """What holds of a company once a sidecar has read the file."""
    opened = OpenedStore(disk)
    load_standalone(str(path), opened.snapshots, Directory(opened.snapshots, 10), now_us)
    held = opened.snapshots.company(company)
    assert held is not None
    return phase_at(held, now_us)


def test_an_anchor_that_is_left_out_is_the_first_start_and_stays(tmp_path: Path) -> None:
    path, disk = tmp_path / "catalog.yaml", MemoryDisk()
    path.write_text(FILE)
    assert loaded(path, disk, NOW_US).anchor_us == NOW_US
    assert loaded(path, disk, NOW_US + DAY_US).anchor_us == NOW_US
    path.write_text(FILE.replace("acme: {plan: pro}", "acme: {plan: pro, name: Acme}"))
    assert loaded(path, disk, NOW_US + 2 * DAY_US).anchor_us == NOW_US
    moved = "acme: {plan: pro, anchor: 2026-01-31T00:00:00Z}"
    path.write_text(FILE.replace("acme: {plan: pro}", moved))
    assert loaded(path, disk, NOW_US + 3 * DAY_US).anchor_us == 1_769_817_600_000_000


def test_a_plans_trial_is_the_planes_and_its_grace_is_not(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(FILE)
    assert loaded(path, MemoryDisk(), NOW_US).status is SubscriptionStatus.ACTIVE
    late = loaded(path, MemoryDisk(), NOW_US, "late")
    assert (late.plan, late.status, late.after_grace) == ("free", SubscriptionStatus.ACTIVE, True)
