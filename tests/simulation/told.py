"""Messages of a watch as a sidecar takes them, without a network."""

from __future__ import annotations

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.slices import whole
from sidecar.shared.convert.snapshots import snapshot_from_message
from sidecar.sync.ledger_versions import LedgerVersions
from sidecar.sync.machine.watch import WatchStep
from sidecar.sync.plane_answers import watch_step_in_slices
from sidecar.sync.told_companies import ToldCompanies


def step_told(message: sync_pb2.WatchSnapshotsResponse) -> WatchStep:
    """What the machine gets of a message."""
    snapshots = [snapshot_from_message(held, "companies") for held in message.companies]
    told = ToldCompanies(snapshots, unreadable={}, bytes=message.ByteSize())
    return whole(watch_step_in_slices(message, told, LedgerVersions()))
