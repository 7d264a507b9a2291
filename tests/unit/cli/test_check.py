"""`tallyd check`."""

from __future__ import annotations

import json

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import check
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import FakeServer, tallyd

NOON_US = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
FEBRUARY_US = 1_769_904_000_000_000
RESETS = "in 12 h (2026-02-01 00:00:00 UTC)"


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch, in_utc: None) -> None:
    monkeypatch.setattr(check, "wall_us", lambda: NOON_US)


def limit(used: int = 900_000) -> pb.LimitStatus:
    return pb.LimitStatus(
        limit="monthly",
        enforcement=catalog_pb2.ENFORCEMENT_HARD,
        amount=1_000_000,
        used=used,
        remaining=max(0, 1_000_000 - used),
        overage=max(0, used - 1_000_000),
        window_start=timestamp(FEBRUARY_US - 86_400_000_000 * 31),
        resets_at=timestamp(FEBRUARY_US),
        dimensions={"user": "joe"},
    )


ALLOWED = pb.Decision(
    allowed=True,
    reason=pb.REASON_ALLOWED,
    granted=1200,
    binding_limit=limit(),
    warnings=[pb.Warning(limit="monthly", percent=80)],
    shadow_denials=["daily"],
    basis=pb.Basis(mode=pb.BASIS_MODE_LOCAL, snapshot_version=12, plane_age_ms=1500, uncertainty=0),
)
DENIED = pb.Decision(
    allowed=False,
    reason=pb.REASON_LIMIT_EXCEEDED,
    binding_limit=limit(used=1_000_007),
    retry_after=Duration(seconds=43_200),
    basis=pb.Basis(mode=pb.BASIS_MODE_LOCAL, snapshot_version=12),
)


def test_allowed_is_exit_0_and_told(fake: FakeServer) -> None:
    fake.answers["Check"] = pb.CheckResponse(decision=ALLOWED, limits=[limit()])

    result = tallyd("check", "acme", "tokens", "-n", "1200", "--sidecar", fake.address)

    assert ExitCode.OK == result.exit_code
    expected = f"""\
decision   allowed
granted    1200
limit      monthly (hard, user=joe)
used       900000 of 1000000
remaining  100000
resets     {RESETS}
warning    monthly has reached 80 %
shadow     daily would have denied
basis      LOCAL, revision 12, plane heard 1 s ago, exact

LIMIT                       USED   AMOUNT  SHARE    LEFT  OVER  RESETS
monthly (hard, user=joe)  900000  1000000  90%    100000     0  2026-02-01 00:00
"""
    assert expected == result.stdout
    assert "" == result.stderr


def test_denied_is_exit_1_and_told(fake: FakeServer) -> None:
    fake.answers["Check"] = pb.CheckResponse(decision=DENIED)

    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address)

    assert ExitCode.NEGATIVE == result.exit_code
    expected = f"""\
decision   denied: LIMIT_EXCEEDED
why        a hard limit has less left than was asked for
granted    0
limit      monthly (hard, user=joe)
used       1000007 of 1000000
remaining  0
overage    7
resets     {RESETS}
retry      in 12 h
basis      LOCAL, revision 12, its own authority, others may count too
"""
    assert expected == result.stdout


def test_what_was_carried_over_is_told(fake: FakeServer) -> None:
    rolling = limit(used=1_100_000)
    rolling.MergeFrom(pb.LimitStatus(carried=150_000))
    rolling.remaining, rolling.overage = 50_000, 0
    answer = pb.Decision(allowed=True, reason=pb.REASON_ALLOWED, granted=1, binding_limit=rolling)
    fake.answers["Check"] = pb.CheckResponse(decision=answer, limits=[rolling])

    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address)

    assert "used       1100000 of 1000000 and 150000 carried over\n" in result.stdout
    expected = """
LIMIT                        USED   AMOUNT  CARRIED  SHARE   LEFT  OVER  RESETS
monthly (hard, user=joe)  1100000  1000000   150000  95%    50000     0  2026-02-01 00:00
"""
    assert result.stdout.endswith(expected)


def test_a_rate_that_denied_is_told_with_the_wait(fake: FakeServer) -> None:
    burst = pb.LimitStatus(
        limit="burst",
        enforcement=catalog_pb2.ENFORCEMENT_HARD,
        amount=20,
        used=15,
        remaining=5,
        resets_at=timestamp(NOON_US + 1_500_000),
        rate=catalog_pb2.Rate(count=10, period=Duration(seconds=1), burst=20),
    )
    denied = pb.Decision(
        reason=pb.REASON_RATE_LIMITED, binding_limit=burst, retry_after=Duration(nanos=100_000_000)
    )
    fake.answers["Check"] = pb.CheckResponse(decision=denied, limits=[burst])

    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address)

    assert ExitCode.NEGATIVE == result.exit_code
    expected = """\
decision    denied: RATE_LIMITED
why         a rate has less free than was asked for
granted     0
rate        burst (hard, 10 per second, 20 at once)
used        15 of 20
remaining   5
free again  all of it in 1.5 s
retry       in 100 ms
basis       None, revision 0, its own authority, others may count too

LIMIT                                    USED  AMOUNT  SHARE  LEFT  OVER  RESETS
burst (hard, 10 per second, 20 at once)    15      20  75%       5     0  in 1.5 s
"""
    assert expected == result.stdout


def test_a_throttled_limit_is_told(fake: FakeServer) -> None:
    slowed = limit(used=1_000_001)
    slowed.enforcement = catalog_pb2.ENFORCEMENT_THROTTLE
    slowed.rate.CopyFrom(catalog_pb2.Rate(count=1, period=Duration(seconds=60), burst=1))
    fake.answers["Check"] = pb.CheckResponse(
        decision=pb.Decision(allowed=True, binding_limit=slowed, throttled=["monthly"])
    )

    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address)

    assert "limit      monthly (throttle to 1 per minute, user=joe)\n" in result.stdout
    assert "throttled  monthly is used up; its rate let this pass\n" in result.stdout


@pytest.mark.parametrize(
    ("basis", "told"),
    [
        (
            pb.Basis(fallback=pb.FALLBACK_CAUSE_NO_SNAPSHOT),
            "decided by the fail policy: nothing is known of the company",
        ),
        (
            pb.Basis(fallback=pb.FALLBACK_CAUSE_STALE_SNAPSHOT, plane_age_ms=185_000),
            "decided by the fail policy: the control plane was not heard for 3 min 5 s",
        ),
        (
            pb.Basis(fallback=pb.FALLBACK_CAUSE_STALE_SNAPSHOT, plane_age_ms=NOON_US // 1000),
            "decided by the fail policy: the control plane was never heard",
        ),
        (
            pb.Basis(fallback=pb.FALLBACK_CAUSE_OUTBOX_FULL),
            "decided by the fail policy: the outbox is full",
        ),
        (pb.Basis(), "decided by the fail policy"),
    ],
)
def test_why_the_fail_policy_decided_is_told(fake: FakeServer, basis: pb.Basis, told: str) -> None:
    basis.mode = pb.BASIS_MODE_FALLBACK
    fake.answers["Check"] = pb.CheckResponse(decision=pb.Decision(allowed=True, basis=basis))

    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address)

    assert f"\nfallback  {told}\nbasis     FALLBACK, " in result.stdout


def test_a_terminal_gets_separators(fake: FakeServer, on_terminal: None) -> None:
    fake.answers["Check"] = pb.CheckResponse(decision=ALLOWED, limits=[limit()])

    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address)

    assert "used       900,000 of 1,000,000\n" in result.stdout
    assert "███████░ 90%" in result.stdout


def test_json_is_the_answer_with_exact_integers(fake: FakeServer) -> None:
    most = pb.Decision(allowed=True, reason=pb.REASON_ALLOWED, granted=2**63 - 1)
    fake.answers["Check"] = pb.CheckResponse(decision=most)

    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address, "--json")

    answer = json.loads(result.stdout)
    assert 1 == result.stdout.count("\n")
    assert 9223372036854775807 == answer["decision"]["granted"]
    assert "ALLOWED" == answer["decision"]["reason"]
    assert answer["decision"]["binding_limit"] is None
    assert [] == answer["limits"]


def test_the_question_is_sent_whole(fake: FakeServer) -> None:
    fake.answers["Check"] = pb.CheckResponse(decision=ALLOWED)

    tallyd(
        *("check", "acme", "tokens", "--quantity", "0", "-d", "model=large", "-d", "a=b=c"),
        *("--event-time", "2026-01-31T13:00:00+01:00", "--up-to", "--sidecar", fake.address),
    )

    expected = pb.CheckRequest(
        company="acme",
        feature="tokens",
        quantity=0,
        event_time=timestamp(NOON_US),
        dimensions={"model": "large", "a": "b=c"},
        grant_mode=pb.GRANT_MODE_UP_TO,
    )
    assert [expected] == fake.requests


def test_increment_counts_and_names_the_record(fake: FakeServer) -> None:
    fake.answers["CheckAndIncrement"] = pb.CheckAndIncrementResponse(
        decision=ALLOWED, record_id="3f-17", replayed=True
    )

    result = tallyd(
        *("check", "acme", "tokens", "--increment", "--idempotency-key", "k1"),
        *("--metadata", "order=17", "--event-time", "2026-01-31", "--sidecar", fake.address),
    )

    expected = pb.CheckAndIncrementRequest(
        company="acme",
        feature="tokens",
        quantity=1,
        idempotency_key="k1",
        event_time=timestamp(NOON_US - 43_200_000_000),
        metadata={"order": "17"},
        grant_mode=pb.GRANT_MODE_ALL_OR_NOTHING,
    )
    assert [expected] == fake.requests
    assert ExitCode.OK == result.exit_code
    assert "record     3f-17\nreplayed   yes: this key was counted before\n" in result.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--idempotency-key", "k"], "need --increment"),
        (["--metadata", "a=b"], "need --increment"),
        (["--quantity", "-1"], "-1 is not in the range"),
        (["--quantity", str(2**63)], "is not in the range"),
        (["--quantity", "1.5"], "'1.5' is not a valid integer"),
        (["--dimension", "model"], "'model' is not KEY=VALUE"),
        (["--dimension", "=large"], "'=large' is not KEY=VALUE"),
        (["--event-time", "2026-01-31T00:00:00"], "has no offset"),
        (["--event-time", "once"], "is not a date-time"),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(
    fake: FakeServer, args: list[str], message: str
) -> None:
    result = tallyd("check", "acme", "tokens", "--sidecar", fake.address, *args)

    assert ExitCode.USAGE == result.exit_code
    assert message in result.stderr
    assert [] == fake.requests


def test_it_says_so_where_the_default_plan_stands_in_for_an_unknown_company(
    fake: FakeServer,
) -> None:
    unknown = pb.Decision()
    unknown.CopyFrom(ALLOWED)
    unknown.basis.default_plan = "free"
    fake.answers["Check"] = pb.CheckResponse(decision=unknown)

    lines = tallyd("check", "acm", "tokens", "--sidecar", fake.address).stdout.splitlines()

    assert "company    unknown: the default plan free stands in for it" == lines[1]


def test_the_price_is_told_with_what_it_burned_unless_it_was_counted_before(
    fake: FakeServer,
) -> None:
    burned = pb.CreditsBurned(feature="credits", needed=12_000, amount=12_000, left=5)
    decision = pb.Decision(
        allowed=True, reason=pb.REASON_ALLOWED, granted=1200, burned=[burned], basis=ALLOWED.basis
    )
    cost = catalog_pb2.FeatureCost(
        credits="credits",
        by="model",
        prices=[catalog_pb2.ValuePrice(value="large", price=catalog_pb2.Price(micro_credits=10))],
    )
    feature = catalog_pb2.Feature(key="tokens", unit="tokens", costs=[cost])
    fake.answers["GetEntitlement"] = pb.GetEntitlementResponse(
        entitlement=pb.Entitlement(feature=feature)
    )
    words = ("check", "acme", "tokens", "-n", "1200", "-d", "model=large", "--increment")
    price = "10 of credits for 1 tokens (model large)"
    counted = pb.CheckAndIncrementResponse(decision=decision, record_id="r-1")
    fake.answers["CheckAndIncrement"] = counted
    assert price in tallyd(*words, "--sidecar", fake.address).stdout
    fake.answers["CheckAndIncrement"] = pb.CheckAndIncrementResponse(
        decision=decision, record_id="r-1", replayed=True
    )
    assert price not in tallyd(*words, "--sidecar", fake.address).stdout
