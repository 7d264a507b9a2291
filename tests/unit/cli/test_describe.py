"""Words for the values of the API: each has its own."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import describe
from sidecar.cli.limit_tables import limit_table
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US


def test_every_reason_to_deny_has_its_own_words() -> None:
    denying = set(pb.Reason.values()) - {pb.REASON_UNSPECIFIED, pb.REASON_ALLOWED}
    texts = {value: describe.reason_text(value) for value in denying}
    assert len(denying) == len(set(texts.values()))
    assert all(text != describe.reason_name(value) for value, text in texts.items())


def test_a_reason_of_a_newer_sidecar_is_its_number() -> None:
    assert "99" == describe.reason_text(99)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (catalog_pb2.ENFORCEMENT_HARD, "hard"),
        (catalog_pb2.ENFORCEMENT_SOFT, "soft"),
        (catalog_pb2.ENFORCEMENT_SHADOW, "shadow"),
        (catalog_pb2.ENFORCEMENT_THROTTLE, "throttle"),
    ],
)
def test_enforcements_have_names(value: int, name: str) -> None:
    assert name == describe.enforcement_name(value)


@pytest.mark.parametrize(
    ("count", "period_us", "burst", "text"),
    [
        (10, SECOND_US, 10, "10 per second"),
        (10, SECOND_US, 0, "10 per second"),
        (10, MINUTE_US, 20, "10 per minute, 20 at once"),
        (1, HOUR_US, 1, "1 per hour"),
        (1, DAY_US, 1, "1 per day"),
        (1, 31 * DAY_US, 1, "1 per 31 days"),
        (1, 90 * SECOND_US, 1, "1 per 90 seconds"),
        (1, 1_500_000, 1, "1 per 1500 ms"),
        (1, 1_001, 1, "1 per 1001 us"),
    ],
)
def test_a_rate_in_words_is_exact(count: int, period_us: int, burst: int, text: str) -> None:
    period = Duration()
    period.FromMicroseconds(period_us)
    assert text == describe.rate_words(catalog_pb2.Rate(count=count, period=period, burst=burst))


@pytest.mark.parametrize(
    ("span_us", "text"),
    [
        (0, "0 ms"),
        (1, "1 ms"),
        (999_000, "999 ms"),
        (999_001, "1 s"),
        (1_000_001, "1.1 s"),
        (59_900_000, "59.9 s"),
        (59_900_001, "60 s"),
        (MINUTE_US + 1, "1 min 1 s"),
        (2 * HOUR_US + 5 * MINUTE_US, "2 h 5 min"),
    ],
)
def test_a_wait_is_never_told_shorter_than_it_is(span_us: int, text: str) -> None:
    assert text == describe.wait_text(span_us)


def test_a_fail_policy_in_words() -> None:
    policy = catalog_pb2.FailPolicy(
        no_snapshot=catalog_pb2.FAIL_ACTION_DEFAULT_PLAN,
        stale=catalog_pb2.FAIL_ACTION_ALLOW,
        stale_after=Duration(seconds=300),
        outbox_full=catalog_pb2.FAIL_ACTION_DENY,
    )
    expected = (
        "default plan without a snapshot, allow after 5 min of silence, deny with a full outbox"
    )
    assert expected == describe.fail_policy_text(policy)
    policy.no_lease = catalog_pb2.FAIL_ACTION_ALLOW
    assert f"{expected}, allow without a lease" == describe.fail_policy_text(policy)
    policy.ClearField("no_lease")
    policy.ClearField("stale_after")
    expected = "default plan without a snapshot, deny with a full outbox"
    assert expected == describe.fail_policy_text(policy)


def test_a_plane_that_was_never_heard_is_told_so() -> None:
    basis = pb.Basis(mode=pb.BASIS_MODE_LOCAL, plane_age_ms=1_773_576_000_000)
    expected = "LOCAL, revision 0, plane never heard, others may count too"
    assert expected == describe.basis_text(basis)


def test_what_a_lease_has_left_is_told() -> None:
    basis = pb.Basis(
        mode=pb.BASIS_MODE_LEASED,
        snapshot_version=4,
        plane_age_ms=900,
        uncertainty=0,
        lease_remaining=12_000,
    )
    expected = "LEASED, revision 4, plane heard 900 ms ago, exact, 12000 left of the lease"
    assert expected == describe.basis_text(basis)
    basis.ClearField("lease_remaining")
    expected = expected.replace("12000 left of the lease", "no lease held for it yet: the first")
    assert f"{expected} call asks for one" == describe.basis_text(basis)


def test_a_fallback_for_want_of_a_lease_is_told() -> None:
    basis = pb.Basis(mode=pb.BASIS_MODE_FALLBACK, fallback=pb.FALLBACK_CAUSE_NO_LEASE)
    expected = "decided by the fail policy: no lease of an exact limit could be had"
    assert expected == describe.fallback_text(basis)
    decision = pb.Decision(would_deny_reason=pb.REASON_LEASE_UNAVAILABLE, basis=basis)
    assert "" == describe.overruled_text(decision)


def test_a_limit_that_is_eventual_over_sidecars_says_so() -> None:
    day = catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_DAY)
    limit = catalog_pb2.Limit(
        id="daily",
        amount=5,
        window=day,
        enforcement=catalog_pb2.ENFORCEMENT_HARD,
        across=catalog_pb2.ACROSS_EVENTUAL,
    )
    metered = catalog_pb2.FEATURE_KIND_METERED
    told = describe.limit_text(limit, metered, terse=True)
    assert "daily: 5 per day, eventual over sidecars" == told
    limit.across = catalog_pb2.ACROSS_EXACT
    assert "daily: 5 per day, hard" == describe.limit_text(limit, metered)


def test_what_a_source_grants_depends_on_the_kind() -> None:
    grant = catalog_pb2.EntitlementGrant(enabled=True, config_value="30")
    lines = {
        kind: describe.grant_lines(grant, kind)
        for kind in (
            catalog_pb2.FEATURE_KIND_BOOLEAN,
            catalog_pb2.FEATURE_KIND_CONFIG,
            catalog_pb2.FEATURE_KIND_METERED,
        )
    }
    assert [["on"], ["30"], ["unlimited"]] == list(lines.values())


def test_changes_are_told_by_the_names_of_what_they_change() -> None:
    grant = catalog_pb2.EntitlementGrant(
        limit_changes=[
            catalog_pb2.LimitChange(limit="monthly", amount=1_000, adds=True),
            catalog_pb2.LimitChange(limit="daily", amount=5),
            catalog_pb2.LimitChange(limit="large", adds=True),
        ],
        rate_changes=[
            catalog_pb2.RateChange(rate="burst", count=10, burst=20, adds=True),
            catalog_pb2.RateChange(rate="slow", count=1),
        ],
    )
    assert [
        "monthly: +1000",
        "daily: 5",
        "large: unlimited",
        "burst: +10, +20 at once",
        "slow: 1",
    ] == describe.grant_lines(grant, catalog_pb2.FEATURE_KIND_METERED)


def test_what_packs_have_left_is_told_where_there_are_any() -> None:
    bought = pb.LimitStatus(limit="monthly", amount=100, used=110, carried=50, packs_left=40)
    titles, (row,) = limit_table([bought])
    assert [10, 40] == [row[titles.index(title)] for title in ("carried", "packs left")]
    assert "10 carried over, 40 left of packs" == describe.carried_text(bought)
    packs_alone = pb.LimitStatus(limit="monthly", amount=100, used=60, carried=60, packs_left=60)
    assert "60 left of packs" == describe.carried_text(packs_alone)
    assert "carried" not in limit_table([packs_alone])[0]
    used_later = pb.LimitStatus(limit="monthly", amount=100, carried=-30)
    assert "30 used by later windows" == describe.carried_text(used_later)
    titles, _ = limit_table([pb.LimitStatus(limit="monthly", amount=100, carried=50)])
    assert "packs left" not in titles
