"""Those who sell credits: they grant, void, refund and price at the plane, if it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.control.services import apply, credit_grants, credit_refunds, subscriptions
from sidecar.control.storage.sqlite.codec import incarnation_text
from sidecar.domain.company.subscription_changes import NOW, OnPlanned, SetAddOn
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.convert.leases import name_to_message
from tests.simulation.credits.given import FOREVER_US, Given
from tests.simulation.credits.offers import CREDITS, TOP_UP, USES, catalog_of
from tests.simulation.credits.rows import grant_name
from tests.simulation.credits.schedule import Give, Refund, SetPrice, Void
from tests.simulation.leases.accounts import account_of
from tests.simulation.leases.offers import COMPANIES
from tests.simulation.leases.operators import Operators

if TYPE_CHECKING:
    from tests.simulation.credits.world import CreditWorld

AGAIN_US: Final = 2 * SECOND_US
_RECORDS: Final = (
    "SELECT incarnation, sequence FROM ledger WHERE company = ? AND duplicate_of = '' "
    "ORDER BY rowid"
)


class Sellers(Operators):
    """They work as operators do; the account of what was given is told what they are told."""

    def __init__(self, world: CreditWorld) -> None:
        super().__init__(world)
        self._credits = world
        self._given = self._refunds = 0

    def give(self, step: Give) -> None:
        """Grant credits once."""
        world, plane, name = self._credits, self._credits.plane, COMPANIES[step.company]
        self._given += 1
        id_, now_us = f"gift-{self._given}", plane.now_us
        starts_us = now_us + step.in_us
        expires_us = starts_us + step.lasts_us if step.lasts_us else FOREVER_US
        kind = GrantKind.PAID if step.is_paid else GrantKind.PROMOTIONAL
        grant = CreditGrant(id_, step.amount, step.priority, kind, starts_us, expires_us)
        given = Given(
            name, id_, step.amount, step.priority, step.is_paid, starts_us, expires_us, step.amount
        )

        def work() -> None:
            wanted = credit_grants.GrantWanted(name, CREDITS, grant)
            credit_grants.grant_credits(plane.store, wanted, now_us)
            world.given.grants[id_] = given

        self._do(work)

    def void(self, step: Void) -> None:
        """Void a grant: nothing comes to be burned of it but what holders of leases may still."""
        world, plane, name = self._credits, self._credits.plane, COMPANIES[step.company]
        grants = world.given.of(name)
        if not grants:
            return
        given = grants[step.grant % len(grants)]

        def work() -> None:
            done = credit_grants.void_grant(plane.store, name, given.id, "", plane.now_us)
            if given.voided_us is None:
                used, _, outstanding = account_of(plane.store, grant_name(given))
                given.voided_us = world.timeline.now_us
                given.most = min(given.most, used + sum(outstanding.values()))
            for holder, key in done.holders:
                message = name_to_message(grant_name(given))
                assert key.counter == grant_name(given).counter
                plane.streams.recall(holder, [message])

        self._do(work)

    def refund(self, step: Refund) -> None:
        """Have a record give back what it burned."""
        plane, name = self._credits.plane, COMPANIES[step.company]
        records = plane.store.rows(_RECORDS, name)
        if not records:
            return
        incarnation, sequence = records[step.record % len(records)]
        self._refunds += 1
        wanted = credit_refunds.RefundWanted(
            name,
            incarnation_text(incarnation),
            sequence,
            amount=step.amount,
            request=f"refund-{self._refunds}",
        )

        def work() -> None:
            credit_refunds.refund_credits(plane.store, wanted, plane.now_us)

        self._do(work)
        if step.again:
            self._credits.timeline.after(AGAIN_US, lambda: self._do(work))

    def price(self, step: SetPrice) -> None:
        """Give a use another price."""
        world, plane = self._credits, self._credits.plane
        prices = {**world.given.prices, USES[step.use]: (step.micro_credits, step.per)}
        catalog = catalog_of(world.ceilings.sold.amounts, prices)

        def work() -> None:
            apply.apply(plane.store, apply.Desired(catalog), plane.now_us)
            world.given.price(prices)

        self._do(work)

    def buy_packs(self, company: int, packs: int) -> None:
        """Have a company hold so many top-ups."""
        plane, name = self._credits.plane, COMPANIES[company]
        now_us, change = plane.now_us, SetAddOn(TOP_UP.key, packs)

        def work() -> None:
            subscriptions.change_subscription(
                plane.store, name, change, NOW, now_us, OnPlanned.DROP
            )
            self._credits.ceilings.bought(name, packs, now_us)

        self._do(work)
