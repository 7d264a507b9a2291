"""A week in the life of 50 companies, on virtual time.

Trials end, cards fail, companies upgrade, pause, buy add-ons, cancel, come back. The sidecar is
offline for some of it. Every decision is the one that an independent model of the rules gives, and
at the end the plane has counted what the model has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.company.model import Company, Subscription, SubscriptionStatus
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    MarkPaid,
    MarkPastDue,
    PauseSubscription,
    RenewSubscription,
    SetAddOn,
    When,
)
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.simulation import model
from tests.simulation.model import Account
from tests.simulation.world import World

COMPANIES: Final = 50
CHECKS_A_DAY: Final = 24
START_US: Final = int(datetime(2026, 3, 23, tzinfo=UTC).timestamp()) * 1_000_000
"""A Monday; on the Sunday that follows, Berlin changes to summer time."""
END_US: Final = START_US + 7 * DAY_US
OFFLINE: Final = (
    (START_US + DAY_US + 14 * HOUR_US, START_US + 2 * DAY_US + 20 * HOUR_US),
    (START_US + 4 * DAY_US + 6 * HOUR_US, START_US + 6 * DAY_US + 12 * HOUR_US),
)
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")

Step = Callable[[], None]


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))]
)
def test_every_decision_of_a_week_is_the_right_one(seed: int) -> None:
    week = Week(Random(seed))
    with closing(week.world):
        week.live()
        counted_by_plane = week.plane_usage()
    assert [] == week.mistakes
    assert week.model_usage() == counted_by_plane
    # Enough of everything happened for the comparison to mean something.
    assert {
        "ALLOWED",
        "LIMIT_EXCEEDED",
        "RATE_LIMITED",
        "NOT_ENTITLED",
        "TRIAL_ENDED",
        "SUBSCRIPTION_PAST_DUE",
        "SUBSCRIPTION_PAUSED",
        "SUBSCRIPTION_CANCELED",
    } == {reason for reason, count in week.seen.items() if count >= 10}
    assert week.offline_checks > 1_000
    assert week.carried > 100


class Week:
    """Fifty companies, what happens to them, and what came of each check."""

    def __init__(self, random: Random) -> None:
        self.mistakes: list[str] = []
        self.seen: dict[str, int] = {}
        self.offline_checks = 0
        self.carried = 0
        self.world = World(START_US)
        self._random = random
        self._accounts: dict[str, Account] = {}
        self._quiet: set[str] = set()
        self._steps: list[tuple[int, int, Step]] = []

    def live(self) -> None:
        """Apply the catalog, then go through the week step by step."""
        companies = [self._company(number) for number in range(COMPANIES)]
        self.world.apply(CATALOG, companies)
        self.world.sync()
        for number in range(COMPANIES):
            self._plan_life(f"company-{number:02}", number)
            for _ in range(7 * CHECKS_A_DAY):
                self._plan_check(f"company-{number:02}")
        for offline_us, online_us in OFFLINE:
            self._at(offline_us, self._lose_network)
            self._at(online_us, self._find_network)
        for at_us, _, step in sorted(self._steps, key=lambda entry: entry[:2]):
            self.world.at(at_us)
            step()
        self.world.at(END_US)
        self.world.sync()

    def plane_usage(self) -> dict[tuple[str, str, str], int]:
        """Usage by company, feature and limit, as the plane knows it."""
        return {
            (company, usage.feature, usage.limit.id): usage.used
            for company in self._accounts
            for usage in self.world.usage(company)
            if not usage.limit.scope.dimensions
        }

    def model_usage(self) -> dict[tuple[str, str, str], int]:
        """The same, as it must be."""
        return {
            (company, *limit): used
            for company, account in self._accounts.items()
            for limit, used in account.usage(END_US).items()
        }

    def _company(self, number: int) -> Company:
        name = f"company-{number:02}"
        zone = ZONES[number % len(ZONES)]
        plan = ("free", "pro", "team")[number % 3]
        # Those of which a downgrade is planned have a billing month that ends within the week.
        days_ago = self._random.randrange(*((23, 27) if number % 10 == 7 else (5, 60)))
        anchor_us = START_US - days_ago * DAY_US - 10 * HOUR_US
        account = Account(ZoneInfo(zone), [anchor_us], [(START_US, plan)])
        subscription = Subscription(plan, anchor_us)
        if number % 10 in (1, 2):
            paid = number % 10 == 2
            ends_us = START_US + self._random.randrange(DAY_US, 6 * DAY_US)
            account.trial = (ends_us, paid)
            after = SubscriptionStatus.ACTIVE if paid else SubscriptionStatus.ENDED
            subscription = Subscription(plan, anchor_us, ends_us, after)
        self._accounts[name] = account
        return Company(name, "", zone, subscription)

    def _plan_life(self, company: str, number: int) -> None:
        """Plan what happens to a company: one kind of life in ten."""
        account = self._accounts[company]
        lives: dict[int, Callable[[str, Account], Iterator[tuple[int, Step]]]] = {
            0: self._upgrades,
            3: self._never_pays,
            4: self._pays_late,
            5: self._pauses,
            6: self._buys_packs,
            7: self._downgrades,
            8: self._cancels,
            9: self._starts_anew,
        }
        if number % 10 in lives:
            for at_us, step in lives[number % 10](company, account):
                self._at(at_us, self._changing(company, step))

    def _changing(self, company: str, step: Step) -> Step:
        """A change; while the sidecar can't hear of it, nobody asks about the company."""

        def change() -> None:
            step()
            if self.world.online:
                self.world.sync()
            else:
                self._quiet.add(company)

        return change

    def _upgrades(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        def upgrade() -> None:
            self.world.change(company, ChangePlan("team"))
            account.plans.append((self.world.now_us, "team"))

        yield self._some_time(1, 5), upgrade

    def _never_pays(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        def fail() -> None:
            now_us = self.world.now_us
            self.world.change(company, MarkPastDue(now_us + 2 * DAY_US))
            account.late.append((now_us, now_us + 2 * DAY_US, END_US + 1))

        yield self._some_time(0, 3), fail

    def _pays_late(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        def fail() -> None:
            now_us = self.world.now_us
            self.world.change(company, MarkPastDue(now_us + DAY_US))
            account.late.append((now_us, now_us + DAY_US, END_US + 1))

        def pay() -> None:
            self.world.change(company, MarkPaid())
            since_us, grace_us, _ = account.late.pop()
            account.late.append((since_us, grace_us, self.world.now_us))

        yield self._some_time(0, 1), fail
        yield self._some_time(3, 6), pay

    def _pauses(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        from_us = self._some_time(1, 3)
        until_us = from_us + self._random.randrange(HOUR_US, 3 * DAY_US)
        moves_anchor = self._random.random() < 0.5

        def announce() -> None:
            pause = PauseSubscription(until_us, moves_anchor)
            self.world.change(company, pause, When(ChangeTime.AT, from_us))
            account.pauses.append((from_us, until_us))
            if moves_anchor:
                account.anchors.append(until_us)

        yield self._some_time(0, 0), announce

    def _buys_packs(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        def hold(quantity: int) -> Step:
            def buy() -> None:
                self.world.change(company, SetAddOn("pack", quantity))
                account.packs.append((self.world.now_us, quantity))

            return buy

        yield self._some_time(0, 2), hold(2)
        yield self._some_time(3, 6), hold(0)

    def _downgrades(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        resets_usage = self._random.random() < 0.5

        def announce() -> None:
            end_us = account.period_end(self.world.now_us)
            change = ChangePlan("free", resets_usage=resets_usage)
            assert end_us == self.world.change(company, change, PERIOD_END)
            account.plans.append((end_us, "free"))
            if resets_usage:
                account.resets.append(end_us)

        yield self._some_time(0, 0), announce

    def _cancels(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        cancel_us = self._some_time(2, 4)

        def announce() -> None:
            self.world.change(company, CancelSubscription(), When(ChangeTime.AT, cancel_us))
            account.gone.append((cancel_us, END_US + 1))

        def renew() -> None:
            self.world.change(company, RenewSubscription())
            account.gone.append((account.gone.pop()[0], self.world.now_us))

        yield self._some_time(0, 0), announce
        yield self._some_time(5, 6), renew

    def _starts_anew(self, company: str, account: Account) -> Iterator[tuple[int, Step]]:
        def restart() -> None:
            now_us = self.world.now_us
            change = ChangePlan("pro", resets_usage=True, moves_anchor=True)
            self.world.change(company, change, NOW)
            account.plans.append((now_us, "pro"))
            account.resets.append(now_us)
            account.anchors.append(now_us)

        yield self._some_time(2, 5), restart

    def _plan_check(self, company: str) -> None:
        at_us = START_US + self._random.randrange(MINUTE_US, 7 * DAY_US)
        feature = self._random.choice(("calls", "calls", "calls", "tokens", "exports", "sso"))
        quantity = {"tokens": self._random.randrange(1, 120), "sso": 0}.get(feature)
        if quantity is None:
            quantity = self._random.randrange(1, 7 if feature == "calls" else 3)
        user = self._random.choice(("ana", "ben"))
        self._at(at_us, lambda: self._check(company, feature, quantity, user))

    def _check(self, company: str, feature: str, quantity: int, user: str) -> None:
        if company in self._quiet:
            return
        account, now_us = self._accounts[company], self.world.now_us
        verdict = account.ask(now_us, feature, quantity, user)
        dimensions = {"user": user} if feature == "calls" else {}
        decision = self.world.check(company, feature, quantity, dimensions)
        told = (decision.allowed, decision.reason.name)
        if told != (verdict.allowed, verdict.reason) or not self._fits(verdict, decision, quantity):
            offline = "" if self.world.online else " offline"
            asked = f"{company} at {now_us}{offline}: {quantity} {feature} of {user}"
            self.mistakes.append(f"{asked}: expected {verdict}, got {decision}")
        if verdict.allowed:
            account.count(now_us, feature, quantity, user)
        self.seen[verdict.reason] = self.seen.get(verdict.reason, 0) + 1
        self.offline_checks += not self.world.online
        self.world.sync()

    def _fits(self, verdict: model.Verdict, decision: Decision, quantity: int) -> bool:
        """Whether the limit that an answer names is as it must be."""
        usage = decision.binding
        if not isinstance(usage, QuotaUsage):
            return True
        self.carried += usage.carried > 0
        used, ceiling = verdict.limits[usage.limit.id]
        counted = quantity if decision.allowed else 0
        return (used + counted, ceiling) == (usage.used, usage.ceiling)

    def _lose_network(self) -> None:
        self.world.online = False

    def _find_network(self) -> None:
        self.world.online = True
        self._quiet.clear()
        self.world.sync()

    def _some_time(self, first_day: int, last_day: int) -> int:
        """Some time in those days of the week."""
        return START_US + self._random.randrange(
            first_day * DAY_US + HOUR_US, (last_day + 1) * DAY_US
        )

    def _at(self, at_us: int, step: Step) -> None:
        self._steps.append((at_us, len(self._steps), step))


def _monthly(
    amount: int,
    alignment: Alignment = Alignment.ANCHORED,
    enforcement: Enforcement = Enforcement.HARD,
) -> Limit:
    return Limit("monthly", WindowSpec(WindowUnit.MONTH, 1, alignment), amount, enforcement)


def _plan(name: str) -> Plan:
    calls = [_monthly(model.MONTHLY_CALLS[name])]
    if name in model.USER_CALLS:
        per_user = Scope(("user",))
        day = WindowSpec(WindowUnit.DAY)
        calls.append(Limit("per_user", day, model.USER_CALLS[name], scope=per_user))
    rates = (RateLimit("pace", Rate(*model.PACE)),) if name == "team" else ()
    tokens = []
    if name in model.MONTHLY_TOKENS:
        amount = model.MONTHLY_TOKENS[name]
        tokens.append(_monthly(amount, Alignment.CALENDAR, Enforcement.SOFT))
    rollover = Rollover(*model.ROLLS_OVER[name]) if name in model.ROLLS_OVER else None
    daily = Limit("daily", WindowSpec(WindowUnit.DAY), model.DAILY_EXPORTS[name], rollover=rollover)
    return Plan(
        name,
        "",
        (
            EntitlementGrant("calls", limits=tuple(calls), rates=rates),
            EntitlementGrant("exports", limits=(daily,)),
            EntitlementGrant("sso", enabled=name != "free"),
            EntitlementGrant("tokens", limits=tuple(tokens)),
        ),
    )


CATALOG: Final = Catalog(
    features=(
        Feature("calls", FeatureKind.METERED),
        Feature("exports", FeatureKind.METERED),
        Feature("sso", FeatureKind.BOOLEAN),
        Feature("tokens", FeatureKind.METERED),
    ),
    plans=tuple(_plan(name) for name in ("free", "pro", "team")),
    add_ons=(
        AddOn(
            "pack",
            entitlements=(
                AddOnEntitlement(EntitlementGrant("calls", limits=(_monthly(model.PACK_CALLS),))),
            ),
        ),
    ),
)
