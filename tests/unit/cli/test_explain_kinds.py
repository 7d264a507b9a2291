"""`tallyd explain` of credits, seats, and usage that costs credits."""

from __future__ import annotations

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.unit.cli.explain_samples import BASIS, MONTHLY_STATUS, answer, run, status
from tests.unit.cli.fakes import FakeServer

NAMED = pb.LimitStatus(limit="named", amount=2, used=2, remaining=0)
WINDOW = catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_LIFETIME)


def of_kind(
    kind: int, decision: pb.Decision, *limits: pb.LimitStatus
) -> pb.ExplainEntitlementResponse:
    found = answer(decision, limits=limits)
    feature = found.entitlement.feature
    feature.kind = catalog_pb2.FeatureKind.ValueType(kind)
    del found.entitlement.limits[:]
    del found.entitlement.rates[:]
    found.entitlement.limits.extend(
        catalog_pb2.Limit(id=limit.limit, amount=limit.amount, window=WINDOW) for limit in limits
    )
    return found


def seats(used: int, *, allowed: bool) -> pb.ExplainEntitlementResponse:
    limit = pb.LimitStatus(limit="named", amount=2, used=used, remaining=2 - used)
    reason = pb.REASON_ALLOWED if allowed else pb.REASON_SEATS_EXHAUSTED
    decision = pb.Decision(allowed=allowed, reason=reason, binding_limit=limit, basis=BASIS)
    return of_kind(catalog_pb2.FEATURE_KIND_SEATS, decision, limit)


def held(*holders: str, partial: bool = False) -> pb.ListSeatsResponse:
    limit = pb.LimitStatus(limit="named", amount=9, used=len(holders))
    listed = [pb.Seat(holder=holder, limit="named") for holder in holders[:5]]
    return pb.ListSeatsResponse(limits=[limit], seats=listed, partial=partial)


@pytest.mark.parametrize(
    ("answered", "listed", "told"),
    [
        pytest.param(
            seats(2, allowed=False),
            held("ann", "ben"),
            [
                "acme has no seat of tokens for another holder: SEATS_EXHAUSTED",
                "held by   ann, ben",
                "named \N{BLACK LEFT-POINTING SMALL TRIANGLE}  2 at a time",
                "2 of 2 seats are held: who has one keeps it, and a new holder is refused until",
            ],
            id="none is free",
        ),
        pytest.param(
            seats(1, allowed=True),
            held("ann", partial=True),
            [
                "acme has a seat of tokens for another holder",
                "held by   ann, as far as is known here",
                "1 of 2 seats are held.",
            ],
            id="one is free",
        ),
        pytest.param(
            seats(0, allowed=True),
            held(),
            ["held by   nobody", "0 of 2 seats are held."],
            id="nobody has one",
        ),
        pytest.param(
            seats(2, allowed=False),
            held("a", "b", "c", "d", "e", "f", "g"),
            ["held by   a, b, c, d, e and 2 more"],
            id="more than are shown",
        ),
    ],
)
def test_seats_say_who_has_one_and_how_many_are_held(
    fake: FakeServer,
    answered: pb.ExplainEntitlementResponse,
    listed: pb.ListSeatsResponse,
    told: list[str],
) -> None:
    fake.answers["ListSeats"] = listed

    shown = run(fake, answered)

    for line in told:
        assert line in shown


def test_credits_show_what_a_balance_burns_from_in_order(fake: FakeServer) -> None:
    decision = pb.Decision(allowed=True, reason=pb.REASON_ALLOWED, basis=BASIS)
    sources = [
        status("welcome", 50, 50),
        status("monthly", 100, 82),
        pb.LimitStatus(limit="overdraft", amount=10, used=0, remaining=10),
    ]
    feature = pb.FeatureUsage(feature="tokens", limits=sources)
    fake.answers["GetUsage"] = pb.GetUsageResponse(features=[feature])

    shown = run(fake, of_kind(catalog_pb2.FEATURE_KIND_CREDITS, decision))

    assert shown.startswith("acme can spend 28 of tokens\n")
    _, table = shown.split("BURNS FROM", 1)
    assert ["welcome", "monthly", "overdraft"] == [
        line.split()[0] for line in table.splitlines()[1:4]
    ]
    assert "overdraft       10       0    10  never" in table


@pytest.mark.parametrize(
    ("allowed", "sentence"),
    [
        (True, "1250 of 2150 after this. It burns 20 of money; 8 are left after this."),
        (
            False,
            "The balance has less left than it costs. It costs 20 of money, of which 8 are left.",
        ),
    ],
)
def test_what_usage_costs_is_said_with_what_is_left(
    fake: FakeServer, allowed: bool, sentence: str
) -> None:
    decision = pb.Decision(
        allowed=allowed,
        reason=pb.REASON_ALLOWED if allowed else pb.REASON_CREDITS_EXHAUSTED,
        binding_limit=MONTHLY_STATUS if allowed else None,
        burned=[pb.CreditsBurned(feature="money", needed=20, left=8)],
        basis=BASIS,
    )

    shown = run(fake, answer(decision, limits=[MONTHLY_STATUS]))

    assert sentence in " ".join(shown.split())
