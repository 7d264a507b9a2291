"""What must hold of balances at rest: each micro-credit is somewhere, and somewhere once."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sidecar.api.control.v1 import credits_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import credit_answers
from sidecar.domain.limits.counters import CounterName
from tests.simulation.credits.given import Given
from tests.simulation.credits.invariants import CreditInvariants
from tests.simulation.credits.offers import CREDITS
from tests.simulation.credits.rows import (
    GRANT,
    burned_in_all,
    entries_of,
    grant_name,
    lost_of,
    overdraft_name,
)
from tests.simulation.leases.accounts import account_of
from tests.simulation.leases.book import ATTEMPT, Counted
from tests.simulation.leases.offers import KNOWN

_LINES: Final = (
    "SELECT incarnation, sequence, record FROM ledger WHERE duplicate_of = '' ORDER BY rowid"
)


class RestingInvariants(CreditInvariants):
    """Looks at a world with balances, also once all is at rest."""

    def at_rest(self) -> bool:
        """Whether all came to the ledger once, and balances are what it says that was burned."""
        self._world.plane.maintain()  # what came in a moment ago has to repay, too
        super().at_rest()
        self._look_at_prices()
        self._look_at_refunds()
        for company in sorted(set(KNOWN) - self._world.ceilings.removed_once):
            self._look_at_grants(company)
            self._look_at_debt(company)
        return not self.violation

    def ledger_sums(self) -> Counter[CounterName]:
        """What records and the plane's own doings add to counters."""
        sums = super().ledger_sums()
        book, by_record = self._credits.burned, self._attempts()
        for attempt, times in book.in_ledger.items():
            for name, amount in book.burned[attempt].parts:
                sums[name] += times * amount
        for entry in entries_of(self._world.plane.store):
            sums.update(entry.moves())
            if entry.is_in_place:
                for name, amount in book.burned[by_record[entry.record]].parts:
                    sums[name] -= amount
        return sums

    def is_unattributed(self, counted: Counted) -> bool:
        """Whether the plane finds out what an attempt counts on, and what it costs."""
        return self._credits.burned.burned[counted.attempt].is_unattributed

    def _attempts(self) -> dict[tuple[bytes, int], str]:
        """The attempts of the ledger's lines that count, by their records."""
        return {
            (incarnation, sequence): attempt_in(record)
            for incarnation, sequence, record in self._world.plane.store.rows(_LINES)
        }

    def _look_at_prices(self) -> None:
        """What the ledger's lines cost is what balances have burned and owe, refunds taken off."""
        store, book = self._world.plane.store, self._credits.burned
        least: Counter[str] = Counter()
        most: Counter[str] = Counter()
        for attempt in self._attempts().values():
            burned = book.burned[attempt]
            company = burned.counted.company
            if burned.is_unattributed:  # the plane has found out what it cost, if it knew of whom
                quantity = burned.counted.quantity
                costs = self._credits.given.costs(burned.feature, burned.model, quantity)
                most[company] += max(costs)
            else:
                least[company] += burned.cost
                most[company] += burned.cost
        for entry in entries_of(store):
            if entry.is_refund:
                least[entry.company] -= entry.amount
                most[entry.company] -= entry.amount
        burned_of = burned_in_all(store)
        for name, counted_as in self._world.given_up.counted.items():
            if name.feature == CREDITS:
                burned_of[name.company] -= counted_as
        for company in {*least, *most, *burned_of}:
            if not least[company] <= burned_of[company] <= most[company]:
                self.fail(
                    f"{company} has burned {burned_of[company]} for usage of "
                    f"{least[company]} to {most[company]}"
                )

    def _look_at_refunds(self) -> None:
        """No record gives back more than it has cost."""
        by_record, book = self._attempts(), self._credits.burned
        refunded: Counter[tuple[bytes, int]] = Counter()
        for entry in entries_of(self._world.plane.store):
            if entry.is_refund:
                refunded[entry.record] += entry.amount + entry.lost
        for record, amount in refunded.items():
            burned = book.burned[by_record[record]]
            quantity = burned.counted.quantity
            costs = self._credits.given.costs(burned.feature, burned.model, quantity)
            most = max(costs) if burned.is_unattributed else burned.cost
            if amount > most:
                self.fail(f"{burned.counted.attempt} gave back {amount} of {most}")

    def _look_at_grants(self, company: str) -> None:
        """Of each grant: amount = burned + lost + leased + left + expired + voided."""
        plane = self._world.plane
        request = credits_pb2.ListCreditGrantsRequest(
            company=company, feature=CREDITS, page_size=1_000, with_over=True
        )
        told = credit_answers.list_grants(plane.store, request, plane.now_us).grants
        accounts = {held.grant.id: held.account for held in told}
        lost = lost_of(plane.store)
        given = [each for each in self._credits.given.of(company) if each.id in accounts]
        if len(given) != len(accounts) or (
            not plane.rollbacks and len(given) != len(self._credits.given.of(company))
        ):
            self.fail(f"{company} has the grants {sorted(accounts)}")
        for each in given:
            self._look_at_grant(each, accounts[each.id], lost[company, GRANT + each.id])

    def _look_at_grant(self, given: Given, told: credits_pb2.CreditAccount, lost: int) -> None:
        world = self._world
        used, _, by_holder = account_of(world.plane.store, grant_name(given))
        is_voided = given.voided_us is not None
        is_over = given.expires_us <= world.plane.now_us
        leased = 0 if is_over else sum(by_holder.values())
        rest = given.amount - used - leased
        there = told.left + told.expired + told.voided
        is_where_it_is = (
            told.amount == given.amount
            and told.burned + told.lost == used
            and told.lost == lost
            and told.leased == leased
            and there == max(0, rest)
            and told.overcommitted == max(0, -rest)
            and not (told.voided and not is_voided)
            and not (told.expired and not is_over)
            and not (told.left and (is_over or is_voided))
        )
        if not is_where_it_is:
            self.fail(f"{given} is {told}, with {used} used, {lost} lost and {leased} leased")
        beyond = world.given_up.allows(grant_name(given))
        if told.overcommitted > beyond and not world.plane.rollbacks:
            self.fail(f"{given.id} is overcommitted: {told}")

    def _look_at_debt(self, company: str) -> None:
        """Nothing is owed while something is left."""
        plane = self._world.plane
        if plane.rollbacks:
            return  # it waits for those who may hold what it does not know of
        request = credits_pb2.GetCreditBalanceRequest(company=company, feature=CREDITS)
        (told,) = credit_answers.get_balance(plane.store, request, plane.now_us).balances
        debt, _, _ = account_of(plane.store, overdraft_name(company))
        if told.debt != max(0, debt):
            self.fail(f"{company} owes {debt}, and is told {told.debt}")
        if debt > 0 and told.left > 0:
            self.fail(f"{company} owes {debt} though {told.left} is left")


def attempt_in(record: bytes) -> str:
    """The attempt that a record is of."""
    return sync_pb2.UsageRecord.FromString(record).metadata[ATTEMPT]
