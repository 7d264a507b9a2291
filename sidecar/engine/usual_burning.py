"""What a usual check burns: its cost, of one source for each balance, with little that is built.

Usual is that the first source that has anything left here has all of it. What is split over
sources, what lacks a lease, what takes the balance to a low one, and what is free goes the general
way (`burning`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sidecar.directory.balances import BalanceSource
from sidecar.directory.prepared import PreparedCost, PreparedSource
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.bounds import INT64_MAX
from sidecar.engine.balance_usage import SOURCES_ADDED_UP_MAX
from sidecar.engine.encode_plain import EncodePlain
from sidecar.engine.lease_book import LeaseBook
from sidecar.storage.codec import decode_counter
from sidecar.storage.counting import counted_up, counted_up_leased, used_of
from sidecar.storage.record_wire import encode_balance, pack_amount
from sidecar.storage.transaction import Transaction

_NO_VALUES: Final[tuple[str, ...]] = ()


UsualBurn: TypeAlias = tuple[bytes, Sequence[tuple[Any, int, int]]]
"""The record's parts, and what is told: frames of sources with their part and what is left."""
NO_BURN: Final[UsualBurn] = (b"", ())


class PreparedCosts(NamedTuple):
    """What usual checks burn in `[from_us, until_us)`; `each` is `None` where none is usual."""

    each: tuple[PreparedCost, ...] | None
    from_us: int
    until_us: int


def prepared_costs(
    company: ResolvedCompany, feature: ResolvedFeature, now_us: int, encode: EncodePlain
) -> PreparedCosts:
    """What usual checks of a feature burn, by the prices and balances of now."""
    segment = company.segment
    found: list[PreparedCost] = []
    from_us, until_us = segment.from_us, segment.until_us
    for each in feature.entitlement.feature.costs:
        resolved = company.feature(each.credits)
        balance = None if resolved is None else resolved.balance
        if balance is None:
            return PreparedCosts(None, from_us, until_us)
        span = balance.span(now_us)
        from_us, until_us = max(from_us, span[0]), min(until_us, span[1])
        sources = balance.at(now_us)
        prepared = tuple(_prepared(sources, encode))
        if not 0 < len(sources) == len(prepared) <= SOURCES_ADDED_UP_MAX:
            return PreparedCosts(None, from_us, until_us)
        low = tuple(sorted(balance.overdraft + each for each in balance.low))
        found.append(PreparedCost(encode_balance(each.credits), each.table, prepared, low))
    return PreparedCosts(tuple(found), from_us, until_us)


def _prepared(sources: Sequence[BalanceSource], encode: EncodePlain) -> Iterator[PreparedSource]:
    for each in sources:
        limit, address, name = each.source.limit, each.address, each.name
        if each.meter is None and limit.amount is not None:
            yield PreparedSource(
                address.key,
                address.wire,
                encode.burned_frame(name.feature, limit.id),
                name,
                limit.amount,
                address.ref.window.end_us,
                limit.is_leased,
            )


def usual_burn(
    transaction: Transaction,
    costs: Sequence[PreparedCost],
    quantity: int,
    dimensions: Mapping[str, str],
    now_us: int,
    book: LeaseBook | None,
    writes: list[tuple[bytes, bytes]],
) -> UsualBurn | None:
    """What counting a quantity would burn; `None` where that is not usual. Writes nothing.

    `book`: of leases, where they are in use. `writes`: gets what is to be written.
    """
    burns = wires = b""
    told: list[tuple[Any, int, int]] = []
    for wire, table, sources, low in costs:
        price = table.otherwise
        if table.by:
            price = table.prices.get(dimensions.get(table.by, ""), price)
        if price is None:
            return None
        needed = -(-quantity * price.micro_credits // price.per)
        if not 0 < needed <= INT64_MAX:
            return None
        burned = _burn_of_one(transaction, sources, needed, now_us, book, writes)
        if burned is None:
            return None
        source, left = burned
        if low and low[-1] >= left and bisect_left(low, left) != bisect_left(low, left + needed):
            return None
        amount = pack_amount(needed)
        burns += source.wire + amount
        wires += wire + amount
        told.append((source.frame, needed, left))
    return burns + wires, told


def _burn_of_one(
    transaction: Transaction,
    sources: Sequence[PreparedSource],
    needed: int,
    now_us: int,
    book: LeaseBook | None,
    writes: list[tuple[bytes, bytes]],
) -> tuple[PreparedSource, int] | None:
    """The source that has all of it, and what is left of all then; `None` if the first has not.

    A lease that runs low is marked: that is worth asking for, whatever becomes of the check.
    """
    kv, incarnation = transaction.kv, transaction.incarnation.ordinal
    assert kv is not None
    left_in_all, burning = 0, None
    for source in sources:
        key, _, _, counter, amount, end_us, exact = source
        data = kv.get(key)
        if burning is None:
            if exact and book is not None:
                leased = counted_up_leased(data, incarnation, needed, now_us, amount)
                counted = None if leased is None else leased[:2]
                if leased is not None and leased[3] and not book.is_due(key):
                    book.mark_due(key, counter)
            else:
                counted = counted_up(key, data, incarnation, needed, end_us, _NO_VALUES)
            if counted is not None and amount - counted[0] >= needed:
                writes.append((key, counted[1]))
                left_in_all += amount - counted[0]
                burning = source
                continue
        left = amount if data is None else amount - used_of(data)
        if left <= 0:
            continue
        if burning is None and (
            data is None or book is None or not _is_skipped(data, incarnation, source, now_us, book)
        ):
            return None
        left_in_all += left
    return None if burning is None else (burning, min(INT64_MAX, left_in_all - needed))


def _is_skipped(
    data: bytes, incarnation: int, source: PreparedSource, now_us: int, book: LeaseBook
) -> bool:
    """Whether a source that has something left has none of that here, and none is to be had now."""
    if book.told(source.key, now_us) is None:
        return False
    known = decode_counter(data, incarnation, _NO_VALUES)
    lease = known.lease if source.exact else None
    return lease is not None and not lease.left(known.own, source.amount, now_us)
