"""Items of levels: what is in use under a name, and when its share comes back by itself.

An item is kept whatever incarnation it was counted under. What it is counted on is kept with it:
so it is taken back from there, also where its company is not held any more. Beside it stands a note
by time, so that nobody has to look through all items for those that are over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Window
from sidecar.storage import codec, keys
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvEngine
from sidecar.storage.transaction import Transaction


class CountedOn(msgspec.Struct, frozen=True, array_like=True):
    """A counter that an item is counted on."""

    slot: str
    values: tuple[str, ...]
    start_us: int
    end_us: int

    @property
    def ref(self) -> CounterRef:
        """The counter."""
        return CounterRef(self.slot, self.values, Window(self.start_us, self.end_us))


class LevelItem(msgspec.Struct, frozen=True, array_like=True):
    """Something in use: `level` of it, 1 or more, in the feature's unit.

    `expires_us`: when it is over, microseconds since the Unix epoch; 0 for never. `dimensions`: it
    was counted with. `record_id`, `event_us`: of the record that changed it last.
    """

    company: str
    feature: str
    item: str
    level: int
    record_id: str
    event_us: int
    expires_us: int = 0
    dimensions: Mapping[str, str] = {}
    counters: tuple[CountedOn, ...] = ()

    @property
    def key(self) -> bytes:
        """Its key in the store."""
        return keys.level_item_key(self.company, self.feature, self.item)


def counted_on(ref: CounterRef) -> CountedOn:
    """A counter as an item keeps it."""
    return CountedOn(ref.slot, ref.values, ref.window.start_us, ref.window.end_us)


def item_of(transaction: Transaction, company: str, feature: str, item: str) -> LevelItem | None:
    """The item with a name; `None` where nothing of it is in use."""
    data = transaction.keyspace.get(keys.level_item_key(company, feature, item))
    return None if data is None else codec.decode_value(data, LevelItem)


def put_item(transaction: Transaction, before: LevelItem | None, after: LevelItem | None) -> None:
    """Keep an item in place of how it was; `None`: nothing of it is in use."""
    kv = transaction.keyspace
    if before is not None and before.expires_us:
        kv.delete(keys.expiry_key(before.expires_us, before.key))
    if after is None:
        if before is not None:
            kv.delete(before.key)
        return
    kv.put(after.key, codec.encode_value(after))
    if after.expires_us:
        kv.put(keys.expiry_key(after.expires_us, after.key), b"")


def next_expiry_us(engine: KvEngine, transaction: Transaction) -> int | None:
    """When the first of all items is over; `None` where none ever is."""
    found = engine.scan(transaction.keyspace, keys.EXPIRIES, keys.after(keys.EXPIRIES), 1)
    return keys.expires_us_of(found[0][0]) if found else None


def items_over(
    engine: KvEngine, transaction: Transaction, now_us: int, most: int
) -> list[LevelItem]:
    """Items that are over, the first first, so many notes at most; a note of none is dropped."""
    kv = transaction.keyspace
    stop = keys.expiry_key(now_us + 1, b"\0")
    over: list[LevelItem] = []
    for note, _ in engine.scan(kv, keys.EXPIRIES, stop, most):
        data = kv.get(keys.item_of_expiry(note))
        item = None if data is None else codec.decode_value(data, LevelItem)
        if item is None or item.expires_us != keys.expires_us_of(note):
            kv.delete(note)
        else:
            over.append(item)
    return over


def items_behind(
    engine: KvEngine, transaction: Transaction, company: str, feature: str, behind: str, most: int
) -> Sequence[LevelItem]:
    """Items of a level in the order of their names, behind one; so many at most."""
    start = keys.level_item_key(company, feature, behind)
    stop = keys.after(keys.level_items_of(company, feature))
    found = engine.scan(transaction.keyspace, start + b"\0" if behind else start, stop, most)
    return [codec.decode_value(data, LevelItem) for _, data in found]


def read_item(key: bytes, data: bytes) -> LevelItem:
    """An item under its key. Raises `StoreDamaged`, also where it is another than its key says."""
    item = codec.decode_value(data, LevelItem)
    if item.key != key:
        raise StoreDamaged("damage in the store: an item of a level under another key than its own")
    return item
