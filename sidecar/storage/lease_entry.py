"""What a store notes of a lease beside its counter: the last request, and what may be reached.

It is by incarnation, and outlives it: what one that was left still had is outstanding at the plane,
which asks for it after it has lost state.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import Window
from sidecar.storage import codec, keys
from sidecar.storage.damage import StoreDamaged, reads


class NotedLease(msgspec.Struct, frozen=True, array_like=True):
    """A lease of an incarnation, in the feature's unit.

    `number`: of the last request about it. `waits`: its answer was not taken yet. `granted`: up to
    where the incarnation may count still. `granted_max`: what an answer may grant at most.
    `valid_until_us`: of what was granted; 0 for nothing. `start_us`, `end_us`: of the window.
    `left_at`: where the incarnation is being left, the record up to which `granted` is what was
    counted, and no more; 0 where it is not. Those of them that are sent under a later incarnation
    are taken off.
    """

    incarnation: str
    company: str
    feature: str
    slot: str
    values: tuple[str, ...]
    start_us: int
    end_us: int
    number: int = 0
    waits: bool = False
    granted: int = 0
    granted_max: int = 0
    valid_until_us: int = 0
    left_at: int = 0

    @property
    def counter(self) -> CounterName:
        """The counter that is leased."""
        ref = CounterRef(self.slot, self.values, Window(self.start_us, self.end_us))
        return CounterName(self.company, self.feature, ref)


def lease_of(incarnation_id: str, counter: CounterName, granted: int = 0) -> NotedLease:
    """An entry of which nothing was asked yet. `granted`: 0, or what was taken back by then."""
    ref = counter.counter
    window = ref.window.start_us, ref.window.end_us
    owner = incarnation_id, counter.company, counter.feature
    return NotedLease(*owner, ref.slot, ref.values, *window, granted=granted)


def counter_key_of(counter: CounterName) -> bytes:
    """Key of the counter with a name."""
    return counter_key_of_ref(counter.company, counter.feature, counter.counter)


def counter_key_of_ref(company: str, feature: str, ref: CounterRef) -> bytes:
    """Key of one of the counters of a company's feature."""
    base = keys.counter_base(company, feature, ref.slot, ref.values)
    return keys.counter_key(base, ref.window.start_us)


def encode_lease(entry: NotedLease) -> bytes:
    """Bytes of an entry."""
    return codec.encode_value(entry)


def decode_lease(data: bytes) -> NotedLease:
    """An entry. Raises `StoreDamaged`."""
    return codec.decode_value(data, NotedLease)


@reads("a lease")
def counter_key_in(data: bytes) -> bytes:
    """Key of the counter that encoded bytes of an entry name."""
    return counter_key_of(decode_lease(data).counter)


def read_lease(key: bytes, data: bytes) -> NotedLease:
    """An entry under its key. Raises `StoreDamaged`, also where it is that of another counter."""
    if keys.counter_of_lease(key) != counter_key_in(data):
        raise StoreDamaged("damage in the store: a lease of another counter than its key says")
    return decode_lease(data)
