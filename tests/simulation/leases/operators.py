"""What operators do at the plane; the account of what is sold is told what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sidecar.control.services import apply, overrides, subscriptions
from sidecar.control.services.lease_holders import LeasesWanted, Presence
from sidecar.control.services.lease_settling import Settlement, settle
from sidecar.control.storage.lease_values import GrantedLease
from sidecar.control.storage.values import CounterKey
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangePlan,
    ChangeTime,
    OnPlanned,
    ResetUsage,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.errors import TallydError
from tests.simulation.leases.ceilings import Granted
from tests.simulation.leases.given_up import Held, outstanding_in
from tests.simulation.leases.offers import (
    COMPANIES,
    PACKS,
    PLANS,
    company_of,
    override_of,
)

if TYPE_CHECKING:
    from tests.simulation.leases.world import World


class Operators:
    """They work at the plane, if it is there; what it refuses changes nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._overrides = 0

    def reprice(self, plan: int, offer: int, amount: int) -> None:
        """Give a limit of a plan another amount."""
        plane, ceilings, sold = self._world.plane, self._world.ceilings, self._world.offers[offer]
        amounts = {**ceilings.sold.amounts, (PLANS[plan], sold.feature, sold.limit): amount}

        def work() -> None:
            apply.apply(plane.store, apply.Desired(self._world.catalog_of(amounts)), plane.now_us)
            ceilings.repriced(amounts, plane.now_us)

        self._do(work)

    def grant(self, company: int, offer: int, amount: int, for_us: int) -> None:
        """Give a company another amount for a while."""
        plane, sold, name = self._world.plane, self._world.offers[offer], COMPANIES[company]
        self._overrides += 1
        now_us = plane.now_us
        until_us = now_us + for_us
        override = override_of(sold, amount, until_us, f"deal-{self._overrides}")
        granted = Granted(name, sold.feature, sold.limit, amount, now_us, until_us)

        def work() -> None:
            overrides.grant_override(plane.store, name, override, now_us)
            self._world.ceilings.granted(granted, now_us)

        self._do(work)

    def replan(self, company: int, plan: int, in_us: int, *, resets: bool) -> None:
        """Give a company another plan, in a while."""
        when = When(ChangeTime.AT, self._world.plane.now_us + in_us) if in_us else NOW
        self._change(company, ChangePlan(PLANS[plan], resets_usage=resets), when)

    def reset(self, company: int) -> None:
        """Let a company's usage start again."""
        self._change(company, ResetUsage(), NOW)

    def buy_packs(self, company: int, packs: int) -> None:
        """Have a company hold so many packs."""
        plane, name = self._world.plane, COMPANIES[company]
        now_us, change = plane.now_us, SetAddOn(PACKS.key, packs)

        def work() -> None:
            subscriptions.change_subscription(
                plane.store, name, change, NOW, now_us, OnPlanned.DROP
            )
            self._world.ceilings.bought(name, packs, now_us)

        self._do(work)

    def create(self, company: int) -> None:
        """Create a company, on the plan that stood in for it."""
        plane, name = self._world.plane, COMPANIES[company]

        def work() -> None:
            with plane.store.read() as reading:
                is_there = bool(reading.snapshots([name]))
            if not is_there:
                desired = apply.Desired(companies=(company_of(name, plane.now_us),))
                apply.apply(plane.store, desired, plane.now_us)

        self._do(work)

    def remove(self, company: int) -> None:
        """Remove a company."""
        plane, name = self._world.plane, COMPANIES[company]

        def work() -> None:
            apply.apply(plane.store, apply.Desired(remove=(name,)), plane.now_us)
            self._world.ceilings.removed(name, plane.now_us)

        self._do(work)

    def settle(self, lease: int, *, counts: bool) -> None:
        """End the leases that a silent holder has of a company, counted as used or not."""
        plane, given_up = self._world.plane, self._world.given_up
        settlement = Settlement.COUNTED if counts else Settlement.RELEASED

        def work() -> None:
            silent = self._silent()
            if not silent:
                return
            name, holder = silent[lease % len(silent)]
            wanted = LeasesWanted(name.company, incarnation=holder)
            watching, now_us = plane.streams.watching(), plane.now_us
            with given_up.noted(plane.store, is_counted=counts):
                settle(plane.store, wanted, settlement, None, watching, now_us, dry_run=False)

        self._do(work)

    def end_recovery(self) -> None:
        """Have the plane wait no longer for those who have not told what they hold."""
        plane = self._world.plane
        self._do(lambda: self._world.given_up.end_waiting(plane.store, plane.now_us))

    def _silent(self) -> list[Held]:
        """What silent holders have."""
        plane = self._world.plane
        found = []
        with plane.store.read() as reading:
            presence = Presence(reading, plane.streams.watching(), plane.now_us)
            for name, holder in sorted(outstanding_in(plane.store), key=repr):
                key = CounterKey(name.company, name.feature, name.counter)
                lease = reading.lease_of(key, holder)
                if lease is not None and presence.is_silent(GrantedLease(lease, 0)):
                    found.append((name, holder))
        return found

    def _change(self, company: int, change: SubscriptionChange, when: When) -> None:
        plane, name = self._world.plane, COMPANIES[company]
        now_us = plane.now_us

        def work() -> None:
            done = subscriptions.change_subscription(
                plane.store, name, change, when, now_us, OnPlanned.DROP
            )
            subscription = done.company.subscription
            assert subscription is not None
            steps = [(now_us, subscription.plan)]
            steps += [(planned.at_us, planned.plan) for planned in subscription.changes]
            ceilings = self._world.ceilings
            before = [step for step in ceilings.sold.plans[name] if step[0] <= now_us]
            plans = {**ceilings.sold.plans, name: (*before, *(step for step in steps if step[1]))}
            ceilings.change(msgspec.structs.replace(ceilings.sold, plans=plans), now_us)

        self._do(work)

    def _do(self, work: Callable[[], object]) -> None:
        """Do it, whoever is about to be killed: what became of it is certain."""
        plane = self._world.plane
        if plane.is_down:
            return
        with plane.store.kill.held():
            try:
                work()
            except TallydError as error:
                self._world.say(f"refused: {error}")
