"""`tallyd explain`: the sentence that says why."""

from __future__ import annotations

from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.unit.cli.explain_samples import (
    BASIS,
    BURST_STATUS,
    HARD,
    LARGE_STATUS,
    METERED,
    MONTHLY_STATUS,
    PER_USER_STATUS,
    SLOW,
    answer,
    status,
    why,
)
from tests.unit.cli.fakes import FakeServer


def allowed(binding: pb.LimitStatus | None = None, **more: Any) -> pb.Decision:
    return pb.Decision(
        allowed=True,
        reason=pb.REASON_ALLOWED,
        granted=1,
        binding_limit=binding,
        basis=BASIS,
        **more,
    )


UNLIMITED: Final = pb.LimitStatus(limit="any", enforcement=HARD, used=7)
SOFT: Final = status("soft", 5, 9, enforcement=catalog_pb2.ENFORCEMENT_SOFT)
SLOWED: Final = status("monthly", 10, 12, enforcement=catalog_pb2.ENFORCEMENT_THROTTLE, rate=SLOW)


@pytest.mark.parametrize(
    ("decision", "limits", "sentence"),
    [
        (allowed(), [], "No limit applies: usage is recorded, and unlimited."),
        (
            allowed(MONTHLY_STATUS),
            [MONTHLY_STATUS],
            "The limit monthly has enough left: 1250 of 2150 after this.",
        ),
        (
            allowed(MONTHLY_STATUS),
            [MONTHLY_STATUS, PER_USER_STATUS],
            "The limit monthly has the least left: 1250 of 2150 after this.",
        ),
        (
            allowed(MONTHLY_STATUS),
            [MONTHLY_STATUS, LARGE_STATUS, BURST_STATUS],
            "The limit monthly has enough left: 1250 of 2150 after this.",
        ),
        (allowed(BURST_STATUS), [], "Only the rate burst applies: 10 per second, 20 at once."),
        (
            allowed(UNLIMITED),
            [],
            "The limit any is unlimited: usage is counted all the same.",
        ),
        (
            allowed(SLOWED, throttled=["monthly"]),
            [SLOWED],
            "The limit monthly is used up, but its rate lets this pass.",
        ),
        (allowed(SOFT, overage=4), [], "4 of it is overage, above a soft limit."),
        (
            allowed(LARGE_STATUS, shadow_denials=["large"]),
            [LARGE_STATUS],
            "Nothing but shadow limits applies, such as large: they never deny.",
        ),
        (
            pb.Decision(reason=pb.REASON_LIMIT_EXCEEDED, binding_limit=MONTHLY_STATUS),
            [],
            "The limit monthly has 1250 left, less than the 3 asked for; waiting does not help.",
        ),
        (
            pb.Decision(
                reason=pb.REASON_RATE_LIMITED,
                binding_limit=BURST_STATUS,
                retry_after=Duration(nanos=1_000),
            ),
            [],
            "The rate burst has 5 left, less than the 3 asked for; the wait is 1 ms.",
        ),
        (
            pb.Decision(
                reason=pb.REASON_RATE_LIMITED,
                binding_limit=SLOWED,
                retry_after=Duration(seconds=59),
            ),
            [],
            (
                "The limit monthly and the rate past it have less left than the 3 asked for; "
                "the wait is 59 s."
            ),
        ),
        (
            pb.Decision(
                reason=pb.REASON_LEASE_UNAVAILABLE,
                binding_limit=MONTHLY_STATUS,
                retry_after=Duration(nanos=100_000_000),
            ),
            [MONTHLY_STATUS],
            (
                "Limit monthly: this sidecar has too small a lease, and got no more: "
                "the control plane could not be asked, or others hold what is left."
            ),
        ),
        (
            pb.Decision(reason=pb.REASON_SUBSCRIPTION_PAUSED),
            [MONTHLY_STATUS],
            "The subscription is paused.",
        ),
        (
            pb.Decision(reason=pb.REASON_TRIAL_ENDED),
            [],
            "The trial has ended without a paid subscription.",
        ),
        (
            pb.Decision(
                reason=pb.REASON_SNAPSHOT_STALE,
                basis=pb.Basis(
                    mode=pb.BASIS_MODE_FALLBACK,
                    plane_age_ms=60_000,
                    fallback=pb.FALLBACK_CAUSE_STALE_SNAPSHOT,
                ),
            ),
            [],
            "Decided by the fail policy: the control plane was not heard for 1 min.",
        ),
    ],
)
def test_the_last_line_says_why(
    fake: FakeServer, decision: pb.Decision, limits: list[pb.LimitStatus], sentence: str
) -> None:
    assert sentence == why(fake, answer(decision, limits=limits), "-n", "3")


def source(
    kind: pb.SourceKind.ValueType, effect: pb.SourceEffect.ValueType, value: Any, key: str = ""
) -> pb.EntitlementSource:
    """What says on or off, or a value; `None`: nothing."""
    if value is None:
        return pb.EntitlementSource(kind=kind, key=key, quantity=1, effect=effect)
    held = catalog_pb2.EntitlementGrant(
        enabled=value is True, config_value=value if isinstance(value, str) else ""
    )
    return pb.EntitlementSource(
        kind=kind, key=key, quantity=1, effect=effect, grant=held, result=held
    )


@pytest.mark.parametrize(
    ("kind", "sources", "reason", "plan", "sentence"),
    [
        (
            catalog_pb2.FEATURE_KIND_BOOLEAN,
            [
                source(pb.SOURCE_KIND_PLAN, pb.SOURCE_EFFECT_GRANTED, False, "pro"),
                source(pb.SOURCE_KIND_ADD_ON, pb.SOURCE_EFFECT_REPLACED, True, "boost"),
                source(pb.SOURCE_KIND_ADD_ON, pb.SOURCE_EFFECT_OUTRANKED, False, "seats"),
            ],
            pb.REASON_ALLOWED,
            "pro",
            "Add-on boost turns it on.",
        ),
        (
            catalog_pb2.FEATURE_KIND_BOOLEAN,
            [
                source(pb.SOURCE_KIND_PLAN, pb.SOURCE_EFFECT_GRANTED, True, "pro"),
                source(pb.SOURCE_KIND_OVERRIDE, pb.SOURCE_EFFECT_REPLACED, False),
            ],
            pb.REASON_NOT_ENTITLED,
            "pro",
            "Override turns it off.",
        ),
        (
            catalog_pb2.FEATURE_KIND_CONFIG,
            [source(pb.SOURCE_KIND_PLAN, pb.SOURCE_EFFECT_GRANTED, "30", "pro")],
            pb.REASON_ALLOWED,
            "pro",
            "Plan pro has the say.",
        ),
        (
            METERED,
            [source(pb.SOURCE_KIND_PLAN, pb.SOURCE_EFFECT_SILENT, None, "pro")],
            pb.REASON_NOT_ENTITLED,
            "pro",
            "No source grants it.",
        ),
        (
            METERED,
            [source(pb.SOURCE_KIND_PLAN, pb.SOURCE_EFFECT_SILENT, None)],
            pb.REASON_NOT_ENTITLED,
            "",
            "There is no plan, and no override grants it.",
        ),
    ],
)
def test_the_source_that_has_the_say_is_named(
    fake: FakeServer,
    kind: catalog_pb2.FeatureKind.ValueType,
    sources: list[pb.EntitlementSource],
    reason: pb.Reason.ValueType,
    plan: str,
    sentence: str,
) -> None:
    found = pb.ExplainEntitlementResponse(
        sources=sources,
        entitlement=pb.Entitlement(feature=catalog_pb2.Feature(key="tokens", kind=kind)),
        segment=catalog_pb2.Segment(plan=plan),
        decision=pb.Decision(allowed=reason == pb.REASON_ALLOWED, reason=reason, basis=BASIS),
    )

    assert sentence == why(fake, found)
