"""The services that a sidecar serves, as methods without a transport."""

from __future__ import annotations

from typing import Final

from sidecar.rpc.admin import AdminMethods
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.rpc.explain import ExplainMethods
from sidecar.rpc.watch import WatchMethods
from sidecar.shared.host.service import Service

ENFORCEMENT_SERVICE: Final = "sidecar.api.enforcement.v1.EnforcementService"
ADMIN_SERVICE: Final = "sidecar.api.admin.v1.AdminService"


def enforcement_service(
    methods: EnforcementMethods, queries: ExplainMethods, watching: WatchMethods
) -> Service:
    """What applications ask."""
    return Service(
        ENFORCEMENT_SERVICE,
        handlers={
            "CheckAndIncrement": methods.check_and_increment,
            "BatchCheckAndIncrement": methods.batch_check_and_increment,
            "RecordUsage": methods.record_usage,
        },
        unary={
            "Check": queries.check,
            "GetUsage": queries.get_usage,
            "GetEntitlement": queries.get_entitlement,
            "ListEntitlements": queries.list_entitlements,
            "ExplainEntitlement": queries.explain_entitlement,
        },
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
