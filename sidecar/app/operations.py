"""What an operator can do with the running sidecar."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar import __version__
from sidecar.api.admin.v1 import admin_pb2 as pb
from sidecar.app.container import Container
from sidecar.app.lease_wiring import left_of_leases
from sidecar.domain.slices import Slices
from sidecar.engine.slicing import in_slices, in_steps
from sidecar.shared.convert.times import duration, timestamp, timestamp_or_none
from sidecar.shared.ops.health import Health
from sidecar.storage.codec import Tally

_DURABILITY = {"process": pb.DURABILITY_PROCESS, "disk": pb.DURABILITY_DISK}


class SidecarOperations:
    """Status, flush and drain."""

    def __init__(self, container: Container, health: Health, started_us: int) -> None:
        self._container = container
        self._health = health
        self._started_us = started_us
        self._draining = False

    async def status(self) -> pb.GetStatusResponse:
        """What the sidecar is, has, and is doing."""
        container = self._container
        accepted = await in_steps(container.runner, container.outbox.accepted())
        plane_status = container.plane_status
        watcher = container.watcher
        remembered_us = container.answers.remembered
        status = pb.GetStatusResponse(
            version=__version__,
            incarnation=accepted.incarnation.id,
            ready=self._health.readiness().passed,
            draining=self._draining,
            standalone=plane_status.authority,
            plane_connected=plane_status.connected,
            plane_heard_at=timestamp_or_none(plane_status.heard_us),
            clock_offset_us=container.clock.offset_us,
            clock_doubted_us=container.clock.doubted_us,
            last_sequence=accepted.sequence,
            acknowledged_sequence=accepted.incarnation.acknowledged_sequence,
            outbox_records=accepted.waiting,
            outbox_bytes=container.maintenance.vitals.outbox_bytes,
            revision=0 if watcher is None else watcher.revision,
            unreadable_companies=0 if watcher is None else watcher.unreadable_companies,
            store_used_bytes=container.maintenance.vitals.store_used_bytes,
            store_max_bytes=container.store.engine.max_bytes(),
            store_trouble=container.store_watch.trouble.error,
            answers_bytes=container.answers.size_bytes,
            answers_max_bytes=container.answers.quota_bytes,
            remembered=None if remembered_us is None else duration(remembered_us),
            outbox_max_records=container.config.outbox_records_max,
            disk_free_bytes=container.store_watch.disk.free_bytes,
            disk_bytes=container.store_watch.disk.size_bytes,
            leases_in_use=plane_status.leases,
            leases_held=container.lease_figures.leases_held,
            lease_refusals=container.lease_figures.refused,
            level_items_expired=container.level_expiry.expired,
            durability=_DURABILITY[container.config.durability],
            started_at=timestamp(self._started_us),
            oldest_waiting_at=timestamp_or_none(container.maintenance.vitals.oldest_accepted_us),
        )
        _fill_damage(status, container)
        _fill_kinds(status, container)
        await in_slices(_fill_tallies(status, accepted.tallies))
        return status

    async def flush(self, seconds: float) -> bool:
        """Send what is in the outbox; whether the plane has all of it."""
        pusher = self._container.pusher
        if pusher is None:
            # Standalone: what is accepted here is where it belongs.
            return True
        return await pusher.flush(seconds)

    async def flush_at_stop(self, seconds: float) -> bool:
        """Send what is in the outbox, unless the plane does not take it; whether it has all."""
        pusher = self._container.pusher
        return pusher is None or await pusher.flush(seconds, while_plane_takes=True)

    async def drain(self, seconds: float) -> bool:
        """Turn readiness off, then flush."""
        self._draining = True
        self._health.drain()
        return await self.flush(seconds)

    def waiting_records(self) -> int:
        """Records that wait to be sent."""
        return self._container.store.waiting_records()


def _fill_damage(status: pb.GetStatusResponse, container: Container) -> None:
    for loss in container.opened.losses:
        status.losses.add(
            incarnation=loss.incarnation,
            noticed_at=timestamp(loss.noticed_us),
            reason=loss.reason,
            last_sequence=loss.last_sequence,
            acknowledged_sequence=loss.acknowledged_sequence,
        )
    for kind, count in sorted(container.maintenance.vitals.quarantined.items()):
        status.quarantined.add(kind=kind, count=count)


def _fill_kinds(status: pb.GetStatusResponse, container: Container) -> None:
    """What is left of leases, by feature, balances and levels among them; and seats."""
    for feature, left in sorted(left_of_leases(container.lease_figures)):
        if left:
            status.leases.add(feature=feature, left=left)
    if container.link is not None:
        status.seats_untold = container.link.seating.untold


def _fill_tallies(status: pb.GetStatusResponse, tallies: Mapping[str, Tally]) -> Slices[None]:
    for feature in sorted(tallies):
        tally = tallies[feature]
        status.tallies.add(feature=feature, records=tally.records, quantity=tally.quantity)
        yield
