"""The usual check, on a shorter way: from request to answer with nothing built that is thrown away.

What does not change between two checks of a company's feature is prepared once: keys, parts of
record and answer, amounts, thresholds. A check is usual where it happens now, wants all or nothing,
nothing of it was answered before, and it is allowed on plain limits, if any, without crossing a
threshold. Whatever else it is goes the general way (`enforce`), which stays the one definition of
the rules: a property test holds both to the same answers and the same bytes in the store.

Nothing is written before it is certain that the check is usual.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from sidecar.directory.directory import Directory
from sidecar.directory.meters import Meter
from sidecar.directory.prepared import Counted, Own, OwnAmounts, PreparedFeature
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX
from sidecar.domain.catalog.model import Enforcement, FailAction, FeatureKind, Limit
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.requests import NO_ATTRIBUTES, digest_of, plain_digest
from sidecar.domain.time.windows import Window
from sidecar.engine.encode_plain import EncodePlain
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.usual_burning import NO_BURN, UsualBurn, prepared_costs, usual_burn
from sidecar.storage import keys
from sidecar.storage.counting import counted_up, counted_up_leased
from sidecar.storage.record_wire import encode_record
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

_ALLOWED: Final = Reason.ALLOWED
_ALL_OR_NOTHING: Final = GrantMode.ALL_OR_NOTHING
_NO_VALUES: Final[tuple[str, ...]] = ()


_Named: TypeAlias = tuple[Any, int, tuple[str, ...], bool]
"""Of the limit that an answer names: its frame, its usage, the values of its dimensions, and
whether a lease covers it."""
_UNLIMITED: Final[_Named] = (None, 0, _NO_VALUES, False)
"""What is told of no limit."""
_Reading: TypeAlias = tuple[list[tuple[bytes, bytes]], list[bytes], _Named, int | None]
"""What a check counts: what to write, counters' names in the record, what the answer names, and
what is left of the smallest lease; `None` where there is none."""


class UsualChecks:
    """Answers usual checks from a store. Runs on the thread that owns the store."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        plane_status: PlaneStatus,
        encode: EncodePlain,
    ) -> None:
        self._store = store
        self._directory = directory
        self._plane_status = plane_status
        self._encode = encode

    def answer(  # noqa: C901 - one function from request to answer: each call would cost
        self,
        transaction: Transaction,
        company_id: str,
        feature_key: str,
        quantity: int,
        key: str,
        dimensions: Mapping[str, str],
        metadata: Mapping[str, str],
        now_us: int,
    ) -> bytes | None:
        """Count a check that happens now, and the bytes of its answer; `None` if it is not usual.

        `dimensions` and `metadata` are within their bounds. Raises `Exhausted` without room.
        """
        company = self._directory.company(company_id, now_us)
        if company is None or quantity <= 0:
            return None
        feature = company.features.get(feature_key) or company.feature(feature_key)
        if feature is None:
            return None
        prepared = feature.prepared
        if prepared is None or not prepared.from_us <= now_us < prepared.until_us:
            prepared = feature.prepared = self._prepare(company, feature, now_us)
        if quantity > prepared.quantity_max:
            return None
        declared = prepared.dimensions
        if declared is not None and not declared.accept(dimensions):
            return None
        if key:
            if len(key) > IDENTIFIER_BYTES_MAX or not (
                key.isascii() and key.isprintable() and " " not in key
            ):
                return None
            answer_hash = keys.answer_hash(feature.company, key)
            if transaction.stores_answer(answer_hash):
                return None
            if feature.company != company_id and transaction.stores_answer(
                keys.answer_hash(company_id, key)
            ):
                return None  # kept when it was not known who is called so
            if dimensions:
                digest = digest_of(feature_key, quantity, _ALL_OR_NOTHING, dimensions)
            else:
                digest = plain_digest(feature_key, quantity, _ALL_OR_NOTHING)
        else:
            answer_hash = digest = b""
        status = self._plane_status
        reading, burn = _read(transaction, prepared, quantity, dimensions, now_us, status)
        if reading is None or burn is None or not self._store.admits():
            return None
        # From here on it is certain: nothing below raises of itself.
        (writes, wires, (frame, used, values, is_leased), left), (burned, told) = reading, burn
        kv = transaction.keyspace
        for counter_key, data in writes:
            kv.put(counter_key, data)
        record = encode_record(
            feature.owner, quantity, now_us, now_us, key, digest, dimensions, metadata, wires, 0,
            False, burned,
        )  # fmt: skip
        transaction.append(record)
        record_id = f"{transaction.incarnation.id}-{transaction.head.sequence}"
        basis = status.basis(company.version, now_us)
        if left is not None or (told and status.leases):
            basis = status.leased_basis(basis, feature.company, exact=is_leased)
        answer = self._encode.plain(_ALLOWED, quantity, frame, used, values, basis, record_id, left)
        answer = self._encode.burned_plain(told) + answer if told else answer
        if key:
            transaction.keep_answer(answer_hash, digest, answer, record_id)
        return answer

    def _prepare(
        self, company: ResolvedCompany, feature: ResolvedFeature, now_us: int
    ) -> PreparedFeature:
        segment = company.segment
        if feature.company in self._plane_status.part_heard:
            # Looked at again by the next check: what is known of its counters is soon whole.
            return PreparedFeature(segment.from_us, now_us, (), 0, None)
        if not _may_be_usual(company, feature):
            return PreparedFeature(segment.from_us, segment.until_us, (), 0, None)
        costs = prepared_costs(company, feature, now_us, self._encode)
        from_us = max(segment.from_us, costs.from_us)
        until_us = min(segment.until_us, costs.until_us)
        if costs.each is None:
            return PreparedFeature(from_us, until_us, (), 0, None)
        counted: list[Counted] = []
        slots: set[str] = set()
        for meter in (*feature.meters, *feature.counting):
            window = meter.window(now_us)
            from_us, until_us = max(from_us, window.start_us), min(until_us, window.end_us)
            is_own = len(counted) < len(feature.meters)
            counted.append(self._counted(meter, window, is_own=is_own, shared=meter.slot in slots))
            slots.add(meter.slot)
        index = self._directory.index
        assert index is not None, "no company is known without a catalog"
        dimensions = index.dimensions.get(feature.entitlement.feature.key)
        amounts = [amount for limit in feature.per_request for amount in _amounts(limit)]
        quantity_max = min(amounts, default=INT64_MAX)
        return PreparedFeature(
            from_us,
            until_us,
            tuple(counted),
            quantity_max,
            dimensions,
            costs.each,
            is_limited=bool(feature.meters),
        )

    def _counted(self, meter: Meter, window: Window, *, is_own: bool, shared: bool) -> Counted:
        limit = meter.limit
        scoped = bool(limit.scope.dimensions or limit.scope.match)
        address = None if scoped else meter.address(NO_ATTRIBUTES, window.start_us)
        own: Own = self._own(window, limit) if is_own else (None, limit.amount, ())
        by_value = None
        if is_own and meter.by_value is not None:
            by_value = OwnAmounts(meter.by_value, partial(self._own, window))
        return Counted(
            meter,
            scoped,
            b"" if address is None else address.key,
            b"" if address is None else address.wire,
            window.end_us,
            *own,
            limit.enforcement is Enforcement.SHADOW,
            shared,
            by_value,
            is_own and meter.exact,
        )

    def _own(self, window: Window, limit: Limit) -> Own:
        """What a limit is prepared as, in a window."""
        amount = limit.amount
        thresholds: tuple[int, ...] = ()
        if amount is not None:
            thresholds = tuple(-(-amount * percent // 100) for percent in limit.warning_percents)
        return self._encode.frame(limit, window), amount, thresholds


def _amounts(limit: Limit) -> list[int]:
    """Every amount that a limit has, for some value or for others."""
    amounts = [limit.amount, *(amount for _, amount in limit.amounts)]
    return [amount for amount in amounts if amount is not None]


def _may_be_usual(company: ResolvedCompany, feature: ResolvedFeature) -> bool:
    """Whether checks of a feature can be usual: metered, granted, with plain limits, no rates."""
    entitlement = feature.entitlement
    return (
        entitlement.granted
        and entitlement.reason is _ALLOWED
        and entitlement.feature.kind is FeatureKind.METERED
        and feature.policy.stale is FailAction.KEEP
        and not company.is_default
        and not feature.rates
        and all(meter.plain for meter in feature.meters)
    )


def _read(
    transaction: Transaction,
    prepared: PreparedFeature,
    quantity: int,
    dimensions: Mapping[str, str],
    now_us: int,
    status: PlaneStatus,
) -> tuple[_Reading | None, UsualBurn | None]:
    """What counting a quantity would write and answer, and burn; `None` for what is not usual."""
    reading = _read_limits(transaction, prepared, quantity, dimensions, now_us, status)
    costs = prepared.costs
    if not costs or reading is None:
        return reading, NO_BURN
    book = status.lease_book if status.leases else None
    return reading, usual_burn(transaction, costs, quantity, dimensions, now_us, book, reading[0])


def _read_limits(  # noqa: C901 - as above
    transaction: Transaction,
    prepared: PreparedFeature,
    quantity: int,
    dimensions: Mapping[str, str],
    now_us: int,
    status: PlaneStatus,
) -> _Reading | None:
    """What counting a quantity would write and answer; `None` where that is not usual."""
    book = status.lease_book if status.leases else None
    kv, incarnation = transaction.kv, transaction.incarnation.ordinal
    assert kv is not None
    writes: list[tuple[bytes, bytes]] = []
    wires: list[bytes] = []
    binding: tuple[bool, int] | None = None
    named = None if prepared.is_limited else _UNLIMITED
    least_left: int | None = None
    for (
        meter, scoped, key, wire, end_us, frame, amount, thresholds, is_shadow, shared, by_value,
        exact,
    ) in prepared.counted:  # fmt: skip
        values = _NO_VALUES
        if scoped:
            address = meter.address(dimensions, now_us)
            if address is None:
                continue
            key, wire, values = address.key, address.wire, address.ref.values  # noqa: PLW2901
            if by_value is not None and (own := by_value.of(values)) is not None:
                frame, amount, thresholds = own  # noqa: PLW2901
        is_leased = False
        if exact and book is not None and amount is not None:
            is_leased = True
            leased = counted_up_leased(kv.get(key), incarnation, quantity, now_us, amount)
            if leased is None:
                return None
            used, data, left, is_due = leased
            if least_left is None or left < least_left:
                least_left = left
            if is_due and not book.is_due(key):
                book.mark_due(key, meter.counter_name(dimensions, now_us))
        else:
            found = counted_up(key, kv.get(key), incarnation, quantity, end_us, values)
            if found is None:
                return None
            used, data = found
        if not shared:
            writes.append((key, data))
            wires.append(wire)
        if frame is None:
            continue
        after = used + quantity
        if amount is None:
            if after > INT64_MAX:
                return None
            if named is None:
                named = frame, after, values, False
            continue
        if after > amount:
            return None
        if (
            thresholds
            and thresholds[0] <= after
            and bisect_right(thresholds, used) != bisect_right(thresholds, after)
        ):
            return None
        rank = (is_shadow, amount - after)
        if binding is None or rank < binding:
            binding, named = rank, (frame, after, values, is_leased)
    return None if named is None else (writes, wires, named, least_left)
