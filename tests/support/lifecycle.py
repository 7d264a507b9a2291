"""Companies of a running system: what may be changed of them, and what is then said of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.company.model import Company
from sidecar.shared.convert.companies import company_to_message
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import CALLS
from tests.support.waits import revision_reached


class Usage(NamedTuple):
    """Usage on a limit."""

    used: int
    remaining: int
    overage: int = 0


class Life:
    """One company, known to a plane and a sidecar."""

    def __init__(self, plane: ControlPlane, sidecar: Sidecar, company: str) -> None:
        self.company = company
        self._plane = plane
        self._sidecar = sidecar

    async def change(
        self, *, at_us: int | None = None, **change: Any
    ) -> control_pb2.ChangeSubscriptionResponse:
        """Change the subscription, now or at an instant, and wait until the sidecar knows."""
        answer = await change_subscription(self._plane, self.company, at_us=at_us, **change)
        await revision_reached(self._sidecar, answer.revision)
        return answer

    async def apply(self, company: Company) -> None:
        """Replace the company, and wait until the sidecar knows."""
        revision = await apply_companies(self._plane, company)
        await revision_reached(self._sidecar, revision)

    async def use(self, quantity: int, *, at_us: int | None = None) -> str:
        """Check and count; the reason's name."""
        request = pb.CheckAndIncrementRequest(
            company=self.company,
            feature=CALLS,
            quantity=quantity,
            event_time=_optional_stamp(at_us),
        )
        answer = await self._sidecar.api.CheckAndIncrement(request, timeout=HANG_SECONDS_MAX)
        return pb.Reason.Name(answer.decision.reason).removeprefix("REASON_")

    async def ask(self, quantity: int = 1, *, at_us: int | None = None) -> str:
        """Ask without counting; the reason's name."""
        request = pb.CheckRequest(
            company=self.company,
            feature=CALLS,
            quantity=quantity,
            event_time=_optional_stamp(at_us),
        )
        answer = await self._sidecar.api.Check(request, timeout=HANG_SECONDS_MAX)
        return pb.Reason.Name(answer.decision.reason).removeprefix("REASON_")

    async def status(self, limit: str = "all", *, at_us: int | None = None) -> pb.LimitStatus:
        """What the sidecar says of a limit."""
        request = pb.GetUsageRequest(company=self.company, feature=CALLS, at=_optional_stamp(at_us))
        answer = await self._sidecar.api.GetUsage(request, timeout=HANG_SECONDS_MAX)
        (row,) = (row for row in answer.features[0].limits if row.limit == limit)
        return row

    async def usage(self, limit: str = "all", *, at_us: int | None = None) -> Usage:
        """Usage on a limit, as the sidecar says it."""
        row = await self.status(limit, at_us=at_us)
        return Usage(row.used, row.remaining, row.overage)

    async def at_plane(
        self, limit: str = "all", *, at_us: int | None = None
    ) -> control_pb2.LimitUsage:
        """What the plane says of a limit."""
        request = control_pb2.GetCompanyUsageRequest(
            company=self.company, feature=CALLS, at=_optional_stamp(at_us)
        )
        answer = await self._plane.control.GetCompanyUsage(request, timeout=HANG_SECONDS_MAX)
        (row,) = (row for row in answer.limits if row.limit.id == limit)
        return row

    async def used_at_plane(self, limit: str = "all", *, at_us: int | None = None) -> int:
        """Usage on a limit, as the plane says it."""
        return int((await self.at_plane(limit, at_us=at_us)).used)


async def change_subscription(
    plane: ControlPlane, company: str, *, at_us: int | None = None, **change: Any
) -> control_pb2.ChangeSubscriptionResponse:
    """Ask a plane for one change, now or at an instant."""
    request = control_pb2.ChangeSubscriptionRequest(
        company=company,
        when=control_pb2.CHANGE_TIME_NOW if at_us is None else control_pb2.CHANGE_TIME_AT,
        at=_optional_stamp(at_us),
        **change,
    )
    return await plane.control.ChangeSubscription(request, timeout=HANG_SECONDS_MAX)


async def apply_companies(plane: ControlPlane, *companies: Company) -> int:
    """Apply companies to a plane, and leave all else as it is; the revision."""
    request = control_pb2.ApplyRequest(companies=map(company_to_message, companies))
    answer = await plane.control.Apply(request, timeout=HANG_SECONDS_MAX)
    return int(answer.revision)


def stamp(at_us: int) -> Timestamp:
    """An instant as a message."""
    found = Timestamp()
    found.FromMicroseconds(at_us)
    return found


def _optional_stamp(at_us: int | None) -> Timestamp | None:
    return None if at_us is None else stamp(at_us)
