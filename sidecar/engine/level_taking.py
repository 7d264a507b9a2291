"""Taking back what is in use of a level: never denied, and from where it was counted.

An item is taken back from the counters that it was counted on here, and from those of limits that
have come since. So it is where its company is not held any more, or may use nothing any more. Where
nothing is known of either, the plane finds out where it belongs.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from msgspec.structs import replace

from sidecar.directory.meters import CounterAddress
from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.counters import WHOLE_LEVEL, CounterRef
from sidecar.storage.codec import StoredCounter
from sidecar.storage.lease_entry import counter_key_of_ref
from sidecar.storage.level_items import LevelItem
from sidecar.storage.record_wire import (
    encode_counter_name,
    encode_level,
    encode_owner,
    encode_record,
    encode_slot,
    encode_window,
)
from sidecar.storage.transaction import Transaction

_NO_METADATA: Mapping[str, str] = {}


def addresses_of(
    item: LevelItem | None,
    feature: ResolvedFeature | None,
    dimensions: Mapping[str, str],
    now_us: int,
) -> dict[bytes, CounterAddress]:
    """Where something is counted, or would be now, by the counters' keys."""
    found: dict[bytes, CounterAddress] = {}
    if feature is not None:
        for meter in (*feature.meters, *feature.counting):
            address = meter.address(dimensions, now_us)
            if address is not None:
                found[address.key] = address
    for counted in () if item is None else item.counters:
        assert item is not None
        address = _address(item.company, item.feature, counted.ref)
        found.setdefault(address.key, address)
    return found


def addresses_before(
    company: str,
    feature_key: str,
    feature: ResolvedFeature | None,
    dimensions: Mapping[str, str],
    now_us: int,
) -> dict[bytes, CounterAddress]:
    """Where something may be counted of which no limit counts anything now."""
    found = addresses_of(None, feature, dimensions, now_us)
    address = _address(company, feature_key, WHOLE_LEVEL)
    found.setdefault(address.key, address)
    return found


def _address(company: str, feature: str, ref: CounterRef) -> CounterAddress:
    wire = encode_counter_name(encode_slot(ref.slot), ref.values, encode_window(ref.window))
    return CounterAddress(ref, counter_key_of_ref(company, feature, ref), wire)


def count_down(
    transaction: Transaction, addresses: Mapping[bytes, CounterAddress], quantity: int
) -> None:
    """Count less on every counter; perhaps below nothing, where others have counted it."""
    for key, address in addresses.items():
        ref = address.ref
        known = transaction.counter(key, ref.values)
        if known is None:
            known = StoredCounter(0, 0, 0, ref.window.end_us, ref.values)
        own = max(-INT64_MAX, known.own - quantity)
        transaction.put_counter(key, replace(known, own=own))


def end_item(
    transaction: Transaction, item: LevelItem, feature: ResolvedFeature | None, now_us: int
) -> None:
    """Count and record that an item came back by itself, at the instant at which it did.

    Its record has a key that is the same wherever the item is held: so what a copy of this store
    takes back as well is taken back once.
    """
    addresses = addresses_of(item, feature, item.dimensions, now_us)
    count_down(transaction, addresses, item.level)
    record = encode_record(
        encode_owner(item.company, item.feature),
        -item.level,
        item.expires_us,
        now_us,
        f"expired:{item.record_id}",
        sha256(f"expired\0{item.feature}\0{item.item}\0{item.level}".encode()).digest()[:16],
        item.dimensions,
        _NO_METADATA,
        [address.wire for address in addresses.values()],
        0,
        not addresses,
    )
    origin, origin_us = item.record_id, item.event_us
    level = encode_level(item.item, 0, 0, expired=True, origin=origin, origin_us=origin_us)
    transaction.append(record + level)
