"""A timeline is shown from now on, as far as people read; all of it where they ask for it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.cli import subscription_calls
from sidecar.domain.catalog.model import EntitlementGrant, LimitChange
from sidecar.domain.company.model import Company, Override, Subscription
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.unit.cli.fakes import FakeServer, tallyd
from tests.unit.cli.test_subscription import at_noon, got

__all__ = ["at_noon"]

PAST: Final = 300
COMING: Final = 40
GRANTED: Final = Company(
    "acme",
    subscription=Subscription("basic", NOW_US - 400 * DAY_US),
    overrides=tuple(
        Override(EntitlementGrant("sso", id=f"g{day}", enabled=True), NOW_US + day * DAY_US)
        for day in range(-PAST + 1, COMING + 1)
    ),
)
ROWS: Final = PAST + COMING + 1


def shown(fake: FakeServer, *options: str) -> list[str]:
    fake.answers["GetCompany"] = got(GRANTED)
    line = ("subscription", "show", "acme", *options, "--control", fake.address)
    lines = tallyd(*line).stdout.splitlines()
    return lines[lines.index("") + 1 :]


def test_what_is_now_comes_first_and_what_is_left_out_is_counted(fake: FakeServer) -> None:
    _, *rows, told = shown(fake)
    assert rows[0].endswith("now, overrides of sso")
    assert 20 == len(rows)
    assert (
        f"{PAST} more before that and 21 more after that: tallyd subscription show acme --history"
    ) == told


def test_with_history_all_of_it_is_shown(fake: FakeServer) -> None:
    _, *rows = shown(fake, "--history")
    assert ROWS == len(rows)
    assert rows[0].startswith("-  ")
    assert 1 == sum("now" in row for row in rows)


def test_what_a_window_grants_in_which_the_plan_changed_is_no_override_to_people(
    fake: FakeServer,
) -> None:
    grant = EntitlementGrant("ai", id="proration", limit_changes=(LimitChange("monthly", 7),))
    override = Override(grant, NOW_US + DAY_US)
    started = Subscription("basic", NOW_US)
    fake.answers["GetCompany"] = got(Company("acme", subscription=started, overrides=(override,)))
    lines = tallyd("subscription", "show", "acme", "--control", fake.address).stdout.splitlines()
    assert lines[-1].endswith("  end of the proration of ai")


@pytest.mark.parametrize("kind", ["subscription", "company"])
def test_companies_and_subscriptions_are_shown_alike(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(subscription_calls, "wall_us", lambda: NOW_US)
    fake.answers["GetCompany"] = got(GRANTED)
    told = [
        len(tallyd(kind, "show", "acme", *more, "--control", fake.address).stdout.splitlines())
        for more in ((), ("--history",))
    ]
    assert ROWS - 20 - 1 == told[1] - told[0]
