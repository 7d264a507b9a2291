"""The services that a sidecar serves, as methods without a transport."""

from __future__ import annotations

from typing import Final

from sidecar.rpc.admin import AdminMethods
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.rpc.explain import ExplainMethods
from sidecar.rpc.levels import LevelMethods
from sidecar.rpc.seats import SeatMethods
from sidecar.rpc.watch import WatchMethods
from sidecar.shared.host.service import Service

ENFORCEMENT_SERVICE: Final = "sidecar.api.enforcement.v1.EnforcementService"
ADMIN_SERVICE: Final = "sidecar.api.admin.v1.AdminService"


def enforcement_service(
    methods: EnforcementMethods,
    queries: ExplainMethods,
    watching: WatchMethods,
    levels: LevelMethods,
    seats: SeatMethods,
) -> Service:
    """What applications ask."""
    return Service(
        ENFORCEMENT_SERVICE,
        handlers={
            "CheckAndIncrement": methods.check_and_increment,
            "BatchCheckAndIncrement": methods.batch_check_and_increment,
            "RecordUsage": methods.record_usage,
            "AdjustLevel": levels.adjust_level,
            "SetLevel": levels.set_level,
            "AcquireSeat": seats.acquire_seat,
        },
        unary={
            "Check": queries.check,
            "GetUsage": queries.get_usage,
            "GetEntitlement": queries.get_entitlement,
            "ListEntitlements": queries.list_entitlements,
            "ExplainEntitlement": queries.explain_entitlement,
            "GetLevel": levels.get_level,
        },
        tasks={"ReleaseSeat": seats.release_seat, "ListSeats": seats.list_seats},
        server_stream={"WatchEntitlements": watching.watch_entitlements},
        bidi_stream={"StreamCheckAndIncrement": methods.stream_check_and_increment},
    )


def admin_service(methods: AdminMethods) -> Service:
    """What operators ask."""
    return Service(
        ADMIN_SERVICE,
        unary={"GetStatus": methods.get_status},
        tasks={"Flush": methods.flush, "Drain": methods.drain},
    )
