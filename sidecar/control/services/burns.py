"""Books what records burn: parts of their costs on the sources' counters, and what those lack.

Rules
- A part counts as usage of a counter does, and is told back with the totals.
- A duplicate burns nothing: its parts are taken back.
- Parts on counters that were not in force at the event's time (a reset, another time zone, the
  default plan in place of a company that is there), or of a grant that the company never had, are
  taken back, and the whole cost is burned here, by the timeline.
- What a record costs and names no part of is burned here, once all parts are counted.
- Where it was not known what a record costs, it costs what the catalog says now.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from sidecar.control.rules.attribution import costs_of, fits_timeline
from sidecar.control.rules.records import CounterPart, Record, read_attributes
from sidecar.control.services.attribution import Attributor
from sidecar.control.services.balances import Balances, PlaneBurn
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.storage.port import WriteTransaction
from sidecar.control.storage.values import CounterKey
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER, grant_in, is_of_balance


class Burns:
    """Books burns of records within one transaction.

    `holders`: who holds what would repay what is owed after that, and of which counter.
    """

    def __init__(self, transaction: WriteTransaction, attributor: Attributor, now_us: int) -> None:
        self._transaction = transaction
        self._attributor = attributor
        self._now_us = now_us
        self._lacking: list[PlaneBurn] = []
        self._in_debt: dict[tuple[str, str], None] = {}
        self._grants: dict[tuple[str, str], bool] = {}
        self.holders: list[tuple[str, CounterKey]] = []

    def book(
        self,
        record: Record,
        data: bytes,
        place: tuple[str, int],
        counted: MutableMapping[CounterKey, int],
        corrected: MutableMapping[CounterKey, int],
        *,
        duplicated: bool,
    ) -> None:
        """Count a record's parts, and take back what is not to be.

        `data`: the whole record. `place`: its incarnation and sequence.
        """
        if not (record.burns or record.costs or record.unattributed):
            return
        for key, amount in record.burns:
            counted[key] += amount
            if key.counter == OVERDRAFT_COUNTER:
                self._in_debt[record.company, key.feature] = None
        fits = not duplicated and self._fits(record)
        if not fits:
            for key, amount in record.burns:
                corrected[key] -= amount
                self._in_debt[record.company, key.feature] = None
        if duplicated:
            return
        costs = self._costs(record, data)
        for feature, cost in costs.items():
            burned = sum(part.amount for part in record.burns if part.key.feature == feature)
            lacking = cost - burned if fits else cost
            if lacking > 0:
                at_us = record.event_time_us
                self._lacking.append(
                    PlaneBurn(record.company, feature, lacking, at_us, *place, is_anew=not fits)
                )

    def burn_rest(self) -> Mapping[CounterKey, int]:
        """Burn what parts lack, once those are written; what the plane has counted, by counter."""
        if not (self._lacking or self._in_debt):
            return {}
        balances = Balances(self._transaction, KeptTimelines(), self._now_us)
        for burn in self._lacking:
            balances.burn(burn)
            self._in_debt[burn.company, burn.feature] = None
        for company, feature in self._in_debt:
            balances.repay(company, feature)
        self.holders = balances.holders()
        return balances.keep()

    def _fits(self, record: Record) -> bool:
        """Whether a record's parts are where they belong, as far back as the timeline tells."""
        snapshot = self._attributor.snapshot(record.company)
        if any(part.key.company != record.company for part in record.burns):
            return False
        if not (self._attributor.has_lost_state or all(map(self._is_known, record.burns))):
            return False
        if snapshot is None or record.event_time_us < self._now_us - HISTORY_US:
            return True
        of_limits = [part.key for part in record.burns if not is_of_balance(part.key.counter.slot)]
        return not record.unattributed and fits_timeline(snapshot, of_limits, record.event_time_us)

    def _is_known(self, part: CounterPart) -> bool:
        """Whether a part is of no grant that its company never had, and another may have."""
        id_ = grant_in(part.key.counter.slot)
        if id_ is None:
            return True
        grant = part.key.company, id_
        if grant not in self._grants:
            self._grants[grant] = self._transaction.credit_grant(*grant) is not None
        return self._grants[grant]

    def _costs(self, record: Record, data: bytes) -> Mapping[str, int]:
        if record.costs or not record.unattributed:
            return record.costs
        if self._attributor.snapshot(record.company) is None:
            return {}  # whose usage it is nobody knows
        message = read_attributes(data)
        assert message is not None, "it was read as a record"
        dimensions = dict(message.dimensions)
        return costs_of(self._attributor.index(), record.feature, record.quantity, dimensions)
