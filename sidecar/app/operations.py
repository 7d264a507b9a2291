"""What an operator can do with the running sidecar."""

from __future__ import annotations

from sidecar import __version__
from sidecar.api.admin.v1 import admin_pb2 as pb
from sidecar.app.parts import Parts
from sidecar.convert.times import timestamp, timestamp_or_none
from sidecar.ops.health import Health
from sidecar.storage.outbox import Tally

_DURABILITY = {"process": pb.DURABILITY_PROCESS, "disk": pb.DURABILITY_DISK}


class SidecarOperations:
    """Status, flush and drain."""

    def __init__(self, parts: Parts, health: Health, started_us: int) -> None:
        self._parts = parts
        self._health = health
        self._started_us = started_us
        self._draining = False

    async def status(self) -> pb.GetStatusResponse:
        """What the sidecar is, has, and is doing."""
        parts = self._parts
        lineage, tallies = await parts.runner.run_alone(
            lambda: (parts.store.lineage, parts.outbox.tallies())
        )
        standing = parts.standing
        watcher = parts.watcher
        return pb.GetStatusResponse(
            version=__version__,
            incarnation=lineage.incarnation,
            ready=self._health.readiness().passed,
            draining=self._draining,
            standalone=standing.authority,
            plane_connected=standing.connected,
            plane_heard_at=timestamp_or_none(standing.heard_us),
            clock_offset_us=standing.clock_offset_us,
            last_sequence=parts.store.head.sequence,
            acknowledged_sequence=lineage.acknowledged_sequence,
            outbox_records=parts.store.waiting_records(),
            outbox_bytes=parts.upkeep.vitals.outbox_bytes,
            revision=0 if watcher is None else watcher.revision,
            store_used_bytes=parts.upkeep.vitals.store_used_bytes,
            store_max_bytes=parts.store.engine.max_bytes(),
            durability=_DURABILITY[parts.config.durability],
            tallies=[_tally(feature, tally) for feature, tally in sorted(tallies.items())],
            started_at=timestamp(self._started_us),
            oldest_waiting_at=timestamp_or_none(parts.upkeep.vitals.oldest_accepted_us),
        )

    async def flush(self, seconds: float) -> bool:
        """Send what is in the outbox; whether the plane has all of it."""
        pusher = self._parts.pusher
        if pusher is None:
            # Standalone: what is accepted here is where it belongs.
            return True
        return await pusher.flush(seconds)

    async def drain(self, seconds: float) -> bool:
        """Turn readiness off, then flush."""
        self._draining = True
        self._health.drain()
        return await self.flush(seconds)

    def waiting_records(self) -> int:
        """Records that wait to be sent."""
        return self._parts.store.waiting_records()


def _tally(feature: str, tally: Tally) -> pb.FeatureTally:
    return pb.FeatureTally(feature=feature, records=tally.records, quantity=tally.quantity)
