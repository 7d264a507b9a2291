"""What has to be asked for before the first of many checks is decided: of all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from sidecar.directory.deciding import deciding_company
from sidecar.directory.directory import Directory
from sidecar.directory.meters import CounterAddress, Meter
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.bounds import EVENT_FUTURE_US_MAX, EVENT_PAST_US_MAX, INT64_MAX
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.errors import FieldError
from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.requests import NO_ATTRIBUTES, Check
from sidecar.domain.text import NEW_NAMES
from sidecar.engine.admission import Admission, Gate
from sidecar.engine.batch_costs import CostSums
from sidecar.engine.call import by_first_id
from sidecar.engine.check_reading import read_for_check
from sidecar.engine.lease_book import LeaseBook
from sidecar.engine.lease_headroom import lease_headroom, lease_wanted
from sidecar.engine.needs import COUNTERS_MAX, LEASE_TRIES_MAX, NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.unheard import unheard_counters
from sidecar.engine.wanted import Wanted
from sidecar.storage import keys
from sidecar.storage.transaction import Transaction


class _Sum:
    """What checks want together of one counter. `least`: what the most modest of them wants."""

    __slots__ = ("address", "at_us", "feature", "last", "least", "meter", "quantity")

    def __init__(self, feature: ResolvedFeature, meter: Meter, address: CounterAddress) -> None:
        self.feature = feature
        self.meter = meter
        self.address = address
        self.at_us = self.quantity = 0
        self.least = INT64_MAX
        self.last: Wanted | None = None

    def add(self, check: Wanted) -> None:
        if check is self.last:
            return  # two limits that count the same
        self.last = check
        quantity, at_us = check.quantity, check.event_time_us
        self.quantity += quantity
        if at_us > self.at_us:
            self.at_us = at_us
        least = 1 if check.mode is GrantMode.UP_TO else quantity
        if least < self.least:
            self.least = least


class BatchNeeds:
    """Looks through batches. Runs on the thread that owns the store."""

    def __init__(self, directory: Directory, gate: Gate, plane_status: PlaneStatus) -> None:
        self._directory = directory
        self._gate = gate
        self._plane_status = plane_status

    def of(
        self,
        transaction: Transaction,
        checks: Sequence[Check | FieldError],
        now_us: int,
        asked: Needs,
    ) -> Needs:
        """What is needed for any of some checks."""
        return (
            self._gate.needs_of(checks, now_us, asked)
            or self._late(transaction, checks, now_us, asked)
            or self.leases(
                transaction, [one for one in checks if isinstance(one, Check)], now_us, asked
            )
        )

    def _late(
        self,
        transaction: Transaction,
        checks: Sequence[Check | FieldError],
        now_us: int,
        asked: Needs,
    ) -> Needs:
        """Counters that may not be known.

        Once, and so many at the most: about the rest it is decided by what is known here.
        """
        status = self._plane_status
        names: set[CounterName] = set()
        for check in () if asked.counters else checks:
            if not isinstance(check, Check):
                continue
            check = by_first_id(check, self._directory)  # noqa: PLW2901
            if status.may_lack(check, now_us):
                try:
                    admission = self._gate.admit(check, now_us, asked)
                except FieldError:
                    continue  # that is what comes of it, and of no other
                if isinstance(admission, Admission) and admission.feature is not None:
                    feature = admission.feature
                    reading = read_for_check(transaction, admission, feature, check, now_us, status)
                    names |= unheard_counters(reading, feature, check, now_us, status)
            if len(names) >= COUNTERS_MAX:
                break
        return Needs(counters=frozenset(islice(names, COUNTERS_MAX))) if names else NOTHING

    def leases(
        self,
        transaction: Transaction,
        checks: Sequence[Wanted],
        now_us: int,
        asked: Needs,
    ) -> Needs:
        """Leases of all that checks want of each counter.

        So many counters at the most: about the rest it is decided by what is held.
        """
        if not self._plane_status.leases or asked.lease_tries >= LEASE_TRIES_MAX:
            return NOTHING
        if not self._lacking(transaction, *self._sums(checks, now_us, asked), now_us, asked):
            return NOTHING
        # Nothing is taken by a retry, or by what is denied anyway: looked up where it may matter.
        sums, costs = self._sums(checks, now_us, asked, transaction)
        lacking = self._lacking(transaction, sums, costs, now_us, asked)
        return Needs(leases=frozenset(lacking)) if lacking else NOTHING

    def _sums(
        self,
        checks: Sequence[Wanted],
        now_us: int,
        asked: Needs,
        transaction: Transaction | None = None,
    ) -> tuple[dict[bytes, _Sum], CostSums]:
        """What is wanted, by counter, and of balances.

        With a transaction, of checks that were not answered yet, and may be allowed.
        """
        latest_us = now_us + self._plane_status.machine_ahead_us + EVENT_FUTURE_US_MAX
        sums: dict[bytes, _Sum] = {}
        costs = CostSums()
        for check in checks:
            at_us = check.event_time_us
            if at_us != now_us and not now_us - EVENT_PAST_US_MAX <= at_us <= latest_us:
                continue
            company, feature = self._leased_feature(check, now_us, asked)
            if company is None or feature is None:
                continue
            if transaction and (
                _was_answered(transaction, feature, check)
                or _is_denied(transaction, feature, check)
            ):
                continue
            if feature.entitlement.feature.costs:
                costs.add(company, feature, check)
            for meter in feature.meters:
                address = _address_of(meter, check) if meter.exact else None
                if address is not None:
                    known = sums.get(address.key)
                    if known is None:
                        known = sums[address.key] = _Sum(feature, meter, address)
                    known.add(check)
        return sums, costs

    def _leased_feature(
        self, check: Wanted, now_us: int, asked: Needs
    ) -> tuple[ResolvedCompany | None, ResolvedFeature | None]:
        """Company and feature that a check counts on, where leases may decide; else `None`."""
        if check.quantity <= 0 or check.mode is GrantMode.RECORD_ONLY:  # as `book_for`
            return None, None
        name, at_us = check.company, check.event_time_us
        final = name in asked.snapshots
        company = deciding_company(self._directory, name, at_us, now_us, final=final)
        if company is None or (company.is_default and NEW_NAMES.identifier_problem(name)):
            return None, None
        feature = company.features.get(check.feature) or company.feature(check.feature)
        if feature is None:
            return company, None
        entitlement = feature.entitlement
        counts = entitlement.granted and entitlement.reason is Reason.ALLOWED
        is_metered = entitlement.feature.kind is FeatureKind.METERED
        return company, feature if counts and is_metered else None

    def _lacking(
        self,
        transaction: Transaction,
        sums: dict[bytes, _Sum],
        costs: CostSums,
        now_us: int,
        asked: Needs,
    ) -> set[LeaseNeed]:
        lacking = set(costs.needs(transaction, self._plane_status, now_us)) - asked.leases
        for key, summed in sums.items():
            need = _need_of(transaction, self._plane_status.lease_book, key, summed, now_us)
            if need is not None and need not in asked.leases:
                lacking.add(need)
                if len(lacking) >= COUNTERS_MAX:
                    break
        return lacking


def _address_of(meter: Meter, check: Wanted) -> CounterAddress | None:
    scope = meter.limit.scope
    scoped = scope.dimensions or scope.match
    return meter.address(check.dimensions if scoped else NO_ATTRIBUTES, check.event_time_us)


def _is_denied(transaction: Transaction, feature: ResolvedFeature, check: Wanted) -> bool:
    """Whether a limit of a check has less left, whatever is leased, than it is satisfied with."""
    least = 1 if check.mode is GrantMode.UP_TO else check.quantity
    for meter in feature.meters:
        address = _address_of(meter, check) if meter.exact and meter.plain else None
        if address is None:
            continue
        amount = meter.limit_of(address.ref.values).amount
        counter = transaction.counter(address.key, address.ref.values)
        if amount is not None and counter is not None and amount - counter.used < least:
            return True
    return False


def _need_of(
    transaction: Transaction, book: LeaseBook, key: bytes, summed: _Sum, now_us: int
) -> LeaseNeed | None:
    """What a counter's lease lacks for what is wanted of it, as far as its limit has that."""
    ref, meter = summed.address.ref, summed.meter
    limit = meter.limit_of(ref.values)
    amount = limit.amount
    if amount is None or transaction.lease_covers(key, summed.quantity, summed.at_us, amount):
        return None
    counter = transaction.counter(key, ref.values)
    lease = lease_headroom(book, limit, counter, key, summed.at_us, now_us)
    if lease is None:
        return None
    wanted = min(INT64_MAX, summed.quantity)
    if meter.plain:
        wanted = min(wanted, amount - (0 if counter is None else counter.used))
    if wanted < summed.least:
        return None
    wanted = lease_wanted(wanted, summed.least, lease)
    if not wanted:
        return None
    return LeaseNeed(summed.feature.counter_name(ref), wanted)


def _was_answered(transaction: Transaction, feature: ResolvedFeature, check: Wanted) -> bool:
    key = check.idempotency_key
    return bool(key) and transaction.stores_answer(keys.answer_hash(feature.company, key))
