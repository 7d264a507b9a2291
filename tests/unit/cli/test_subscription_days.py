"""Days in `tallyd subscription` begin where the company is, as in catalog files."""

from __future__ import annotations

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.shared.instants import instant_of_text
from tests.unit.cli.fakes import FakeServer, tallyd
from tests.unit.cli.test_subscription import ACME, at_noon, changed, got

__all__ = ["at_noon"]


@pytest.mark.parametrize(
    ("said", "options", "meant"),
    [
        ("2026-07-01", (), "2026-06-30T22:00:00Z"),  # ACME is in Berlin
        ("tomorrow", (), "2026-03-15T23:00:00Z"),
        ("fri", (), "2026-03-19T23:00:00Z"),
        ("2026-07-01", ("--time-zone", "UTC"), "2026-07-01T00:00:00Z"),
        ("2026-07-01T00:00:00Z", (), "2026-07-01T00:00:00Z"),
        ("+2h", (), "2026-03-15T14:00:00Z"),
    ],
)
def test_a_day_begins_in_the_company_s_time_zone(
    fake: FakeServer, said: str, options: tuple[str, ...], meant: str
) -> None:
    fake.answers["ChangeSubscription"] = changed()
    fake.answers["GetCompany"] = got(ACME)

    # The order of options makes no difference.
    for words in (["--at", said, *options], [*options, "--at", said]):
        fake.requests.clear()
        result = tallyd("subscription", "cancel", "acme", *words, "--control", fake.address)
        assert ExitCode.OK == result.exit_code
        *asked, request = fake.requests
        assert instant_of_text(meant) == request.at.ToMicroseconds()
        is_day = "T" not in said and "h" not in said and not options
        assert is_day == any(isinstance(each, control_pb2.GetCompanyRequest) for each in asked)
