"""`tallyd usage`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.common import ExitCode
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import FakeServer, tallyd

NOON_US = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
FEBRUARY_US = 1_769_904_000_000_000


pytestmark = pytest.mark.usefixtures("in_utc")


@pytest.fixture
def plane(fake: FakeServer) -> FakeServer:
    """A control plane whose ledger has nothing; a test says what is used of limits."""
    fake.answers["QueryUsage"] = control_pb2.QueryUsageResponse()
    return fake


def usage(used: int, amount: int | None, carried: int = 0) -> control_pb2.LimitUsage:
    return control_pb2.LimitUsage(
        feature="tokens",
        limit=catalog_pb2.Limit(
            id="monthly", amount=amount, enforcement=catalog_pb2.ENFORCEMENT_SOFT
        ),
        window=catalog_pb2.WindowInstance(end=timestamp(FEBRUARY_US)),
        used=used,
        carried=carried,
    )


def test_a_company_is_shown_against_its_limits(plane: FakeServer) -> None:
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(
        limits=[usage(250, 1000), usage(1500, 1000), usage(7, None)]
    )

    result = tallyd("usage", "acme", "--at", "2026-01-31", "--control", plane.address)

    assert ExitCode.OK == result.exit_code
    expected = """\
FEATURE  LIMIT           USED     AMOUNT  SHARE  LEFT  OVER  RESETS
tokens   monthly (soft)   250       1000  25%     750     0  2026-02-01 00:00
tokens   monthly (soft)  1500       1000  150%      0   500  2026-02-01 00:00
tokens   monthly (soft)     7  unlimited  -         -     0  2026-02-01 00:00
"""
    assert expected == result.stdout
    request = control_pb2.GetCompanyUsageRequest(
        company="acme", at=timestamp(NOON_US - 43_200_000_000)
    )
    assert request == plane.requests[0]


@pytest.mark.parametrize(
    ("zone", "from_us", "until_us"),
    [
        ((), FEBRUARY_US - 31 * DAY_US, FEBRUARY_US),
        (
            ("--time-zone", "Europe/Berlin"),
            FEBRUARY_US - 31 * DAY_US - HOUR_US,
            FEBRUARY_US - HOUR_US,
        ),
    ],
    ids=["UTC", "Berlin"],
)
def test_of_a_feature_without_limits_it_is_told_what_was_used_in_the_month(
    plane: FakeServer, zone: tuple[str, ...], from_us: int, until_us: int
) -> None:
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(
        limits=[usage(1, 10)], unlimited_features=["images", "videos"]
    )
    plane.answers["QueryUsage"] = control_pb2.QueryUsageResponse(
        sums=[
            control_pb2.UsageSum(feature="images", quantity=7),
            control_pb2.UsageSum(feature="tokens", quantity=1),
        ]
    )
    asked = ("usage", "acme", "--at", "2026-01-31", *zone, "--control", plane.address)

    result = tallyd(*asked)
    told = json.loads(tallyd(*asked, "--json").stdout)

    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["tokens", "images"] == [line[0] for line in lines[1:]]
    assert ["images", "none,", "in", "Jan", "2026", "7", "unlimited", "-", "-", "-", "-"] == lines[
        2
    ]
    assert [("images", 7)] == [(one["feature"], one["quantity"]) for one in told["without_limits"]]
    (request,) = {
        (getattr(asked, "from").ToMicroseconds(), asked.until.ToMicroseconds())
        for asked in plane.requests
        if isinstance(asked, control_pb2.QueryUsageRequest)
    }
    assert (from_us, until_us) == request


@pytest.mark.parametrize(
    ("told_of", "limit", "amount"),
    [
        ({"unlimited_features": ["exports"]}, "none", "unlimited"),
        ({"limited_features": ["exports"]}, "all", "-"),
        ({"ungranted_features": ["exports"]}, "none", "not granted"),
        ({"unlimited_features": ["images"]}, "none", "no such feature"),
        ({"company_unknown": True}, "none", "not granted"),
        ({}, "all", "-"),
    ],
    ids=["unlimited", "nothing counted", "not granted", "gone", "company gone", "earlier plane"],
)
def test_of_a_feature_that_no_limit_is_shown_of_it_is_told_how_it_stands(
    plane: FakeServer, told_of: dict[str, Any], limit: str, amount: str
) -> None:
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(**told_of)
    plane.answers["QueryUsage"] = control_pb2.QueryUsageResponse(
        sums=[control_pb2.UsageSum(feature="exports", quantity=7)]
    )
    asked = ("usage", "acme", "--at", "2026-01-31", "--control", plane.address)

    *_, line = tallyd(*asked).stdout.splitlines()
    told = json.loads(tallyd(*asked, "--json").stdout)

    assert line.startswith(f"exports  {limit}, in Jan 2026     7  {amount}  ")
    sums = "without_limits" if amount == "unlimited" else "without_counters"
    assert ["exports"] == [one["feature"] for one in told[sums]]


def test_a_company_that_only_the_ledger_knows_is_told_as_such(plane: FakeServer) -> None:
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(company_unknown=True)

    result = tallyd("usage", "acme", "--control", plane.address)

    expected = """\
there is no company acme (any more); its usage stands against the default plan
no limits, and no usage
"""
    assert expected == result.stdout


def test_what_was_carried_has_a_column_where_there_is_any(plane: FakeServer) -> None:
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(
        limits=[usage(1200, 1000, carried=500), usage(1600, 1000, carried=500), usage(250, 1000)]
    )

    result = tallyd("usage", "acme", "--control", plane.address)

    expected = """\
FEATURE  LIMIT           USED  AMOUNT  CARRIED  SHARE  LEFT  OVER  RESETS
tokens   monthly (soft)  1200    1000      500  80%     300     0  2026-02-01 00:00
tokens   monthly (soft)  1600    1000      500  106%      0   100  2026-02-01 00:00
tokens   monthly (soft)   250    1000        0  25%     750     0  2026-02-01 00:00
"""
    assert expected == result.stdout


def test_the_rate_past_a_limit_is_told(plane: FakeServer) -> None:
    slowed = usage(1200, 1000)
    slowed.limit.enforcement = catalog_pb2.ENFORCEMENT_THROTTLE
    slowed.limit.throttle.CopyFrom(catalog_pb2.Rate(count=1, period=Duration(seconds=5), burst=1))
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(limits=[slowed])

    result = tallyd("usage", "acme", "--control", plane.address)

    assert "monthly (throttle to 1 per 5 seconds)  1200" in result.stdout


def test_a_company_is_shown_as_its_sidecar_knows_it(fake: FakeServer) -> None:
    status = pb.LimitStatus(
        limit="ever", enforcement=catalog_pb2.ENFORCEMENT_HARD, amount=10, used=4, remaining=6
    )
    fake.answers["GetUsage"] = pb.GetUsageResponse(
        features=[pb.FeatureUsage(feature="seats", limits=[status])],
        basis=pb.Basis(mode=pb.BASIS_MODE_LOCAL, snapshot_version=3, uncertainty=5),
        truncated=True,
    )

    result = tallyd(
        *("usage", "acme", "--feature", "seats", "--source", "sidecar", "--sidecar", fake.address)
    )

    expected = """\
FEATURE  LIMIT        USED  AMOUNT  SHARE  LEFT  OVER  RESETS
seats    ever (hard)     4      10  40%       6     0  never
only the first 1 are shown
basis: LOCAL, revision 3, its own authority, true usage up to 5 higher
"""
    assert expected == result.stdout
    assert [pb.GetUsageRequest(company="acme", feature="seats")] == fake.requests


SUMS = control_pb2.QueryUsageResponse(
    sums=[
        control_pb2.UsageSum(company="acme", feature="tokens", records=3, quantity=18_059_974),
        control_pb2.UsageSum(
            company="b", feature="tokens", records=12_000, quantity=5, overage=1234
        ),
    ]
)


def test_without_a_company_the_ledger_is_summed_by_company(fake: FakeServer) -> None:
    fake.answers["QueryUsage"] = SUMS

    result = tallyd("usage", "--control", fake.address)

    expected = """\
COMPANY  FEATURE  RECORDS  QUANTITY  OVERAGE
acme     tokens         3  18059974        0
b        tokens     12000         5     1234
"""
    assert expected == result.stdout
    by_company = control_pb2.QueryUsageRequest(
        group_by=[control_pb2.USAGE_GROUP_COMPANY], max_sums=1000
    )
    assert [by_company] == fake.requests


def test_a_terminal_gets_separators_and_a_drawn_table(fake: FakeServer, on_terminal: None) -> None:
    fake.answers["QueryUsage"] = SUMS

    result = tallyd("usage", "--control", fake.address)

    words = [line.split() for line in result.stdout.splitlines() if line.strip(" ─")]
    expected = [
        ["company", "feature", "records", "quantity", "overage"],
        ["acme", "tokens", "3", "18,059,974", "0"],
        ["b", "tokens", "12,000", "5", "1,234"],
    ]
    assert expected == words
    assert "───" in result.stdout


def test_sums_with_json_are_exact(fake: FakeServer) -> None:
    fake.answers["QueryUsage"] = SUMS

    result = tallyd("usage", "--control", fake.address, "--json")

    answer = json.loads(result.stdout)
    assert [18_059_974, 5] == [item["quantity"] for item in answer["sums"]]
    assert answer["truncated"] is False


def test_a_range_and_groups_are_sent(fake: FakeServer) -> None:
    fake.answers["QueryUsage"] = control_pb2.QueryUsageResponse()

    result = tallyd(
        *("usage", "acme", "--from", "2026-01-31", "--until", "2026-02-01"),
        *("--by", "day,feature", "--max", "20000", "--control", fake.address),
    )

    expected = control_pb2.QueryUsageRequest(
        company="acme",
        until=timestamp(FEBRUARY_US),
        group_by=[control_pb2.USAGE_GROUP_DAY, control_pb2.USAGE_GROUP_FEATURE],
        max_sums=10_000,
    )
    getattr(expected, "from").CopyFrom(timestamp(FEBRUARY_US - 86_400_000_000))
    assert [expected] == fake.requests
    assert "no usage\n" == result.stdout


def ledger(request: control_pb2.ListRecordsRequest) -> control_pb2.ListRecordsResponse:
    """Twenty-five hundred records, in pages as asked for; the token is the next number."""
    first = int(request.page_token or 0)
    last = min(2500, first + request.page_size)
    records = [
        control_pb2.LedgerRecord(
            id=f"i-{number}",
            company="acme",
            feature="tokens",
            quantity=number,
            event_time=timestamp(NOON_US),
            dimensions={"model": "large"},
            idempotency_key=f"k{number}",
            duplicate_of="i-0" if number == 1 else "",
        )
        for number in range(first, last)
    ]
    token = str(last) if last < 2500 else ""
    return control_pb2.ListRecordsResponse(records=records, next_page_token=token)


def test_records_are_shown_one_a_line(fake: FakeServer) -> None:
    fake.answers["ListRecords"] = ledger

    result = tallyd("usage", "acme", "--records", "--max", "2", "--control", fake.address)

    expected = """\
TIME                     FEATURE  QUANTITY  OVERAGE  DIMENSIONS   KEY  ID   DUPLICATE
2026-01-31 12:00:00 UTC  tokens          0        0  model=large  k0   i-0  -
2026-01-31 12:00:00 UTC  tokens          1        0  model=large  k1   i-1  of i-0
only the first 2 are shown
"""
    assert expected == result.stdout


def test_records_are_paged_through(fake: FakeServer) -> None:
    fake.answers["ListRecords"] = ledger

    result = tallyd(
        *("usage", "acme", "--records", "--max", "5000", "--json", "--control", fake.address)
    )

    answer = json.loads(result.stdout)
    assert list(range(2500)) == [record["quantity"] for record in answer["records"]]
    assert answer["truncated"] is False
    assert [1000, 1000, 1000] == [request.page_size for request in fake.requests]


def test_records_stop_at_the_most_that_was_asked_for(fake: FakeServer) -> None:
    fake.answers["ListRecords"] = ledger

    result = tallyd(
        *("usage", "acme", "--records", "--max", "1500", "--json", "--control", fake.address)
    )

    answer = json.loads(result.stdout)
    assert 1500 == len(answer["records"])
    assert answer["truncated"] is True
    assert [1000, 1000] == [request.page_size for request in fake.requests]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--records"], "--records needs COMPANY"),
        (["acme", "--records", "--by", "day"], "choose one of them"),
        (["acme", "--records", "--at", "now"], "--at is for a company's limits"),
        (["--at", "now"], "--at is for a company's limits"),
        (["--source", "sidecar"], "--source sidecar needs COMPANY"),
        (["acme", "--source", "sidecar", "--by", "day"], "--source sidecar needs COMPANY"),
        (["acme", "--by", "week"], "'week' is none of company, feature, day"),
        (["acme", "--max", "0"], "0 is not in the range"),
        (["acme", "--from", "12:30"], "is not a date-time"),
    ],
)
def test_what_does_not_fit_together_is_told(args: list[str], message: str) -> None:
    result = tallyd("usage", *args)

    assert ExitCode.USAGE == result.exit_code
    assert message in result.stderr


def test_usage_of_users_is_read_page_by_page_as_long_as_more_is_asked_for(
    plane: FakeServer,
) -> None:
    first = control_pb2.GetCompanyUsageResponse(
        limits=[usage(1, 1000)], truncated=True, next_page_token="next"
    )
    plane.answers["GetCompanyUsage"] = first
    cut = tallyd("usage", "acme", "--max", "1", "--json", "--control", plane.address)
    assert '"truncated": true' in cut.stdout
    assert [""] == tokens(plane)

    plane.requests.clear()
    tallyd("usage", "acme", "--max", "3", "--json", "--control", plane.address)
    assert ["", "next", "next"] == tokens(plane)


def tokens(plane: FakeServer) -> list[str]:
    wanted = control_pb2.GetCompanyUsageRequest
    return [asked.page_token for asked in plane.requests if isinstance(asked, wanted)]


def test_pages_of_a_sidecar_are_joined_by_feature(fake: FakeServer) -> None:
    page = pb.GetUsageResponse(
        features=[pb.FeatureUsage(feature="calls", limits=[pb.LimitStatus(limit="monthly")])],
        truncated=True,
        next_page_token="next",
    )
    fake.answers["GetUsage"] = page
    result = tallyd(
        "usage", "acme", "--source", "sidecar", "--max", "3", "--json", "--sidecar", fake.address
    )
    told = json.loads(result.stdout)
    assert [("calls", 3)] == [(one["feature"], len(one["limits"])) for one in told["features"]]
