"""Opening the store on an engine, or starting one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from sidecar.storage import codec, keys
from sidecar.storage.codec import Incarnation, StoreFormatError
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.incarnations import (
    mended,
    read_head,
    read_incarnations,
    read_names,
    sound_head,
    with_new_incarnation,
    write_incarnations,
)
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from sidecar.storage.store import Store
from sidecar.storage.transaction import AnswerPlace
from sidecar.storage.upgrade import take_over_answers, take_over_tallies

_FORMAT_WITH_PLACE: Final = 8
"""From this format on who opens or closes a store notes where it is."""

log = structlog.get_logger(__name__)


def open_store(
    engine: KvEngine,
    *,
    new_incarnation: Callable[[], str],
    outbox_records_max: int = 1_000_000,
    power_lost: bool = False,
    is_copy: bool | None = False,
) -> Store:
    """Open the store on an engine, or start one.

    After a loss of power the store may be older than what was answered, and a copy may be spent
    from twice: it goes on under a new incarnation, which has no leases, behind what waits in its
    outbox. `is_copy`: whether it is not where its last owner left it; `None` where that was not
    noted: programs of earlier formats did not. Raises `StoreFormatError` for a store that a newer
    program wrote, and `StoreDamaged` where it does not even tell whose it is.
    """
    kv = engine.begin()
    try:
        written_as = _require_format(kv)
        stored = incarnations = read_incarnations(kv)
        if not incarnations:
            incarnations = (Incarnation(1, new_incarnation()),)
        else:
            incarnations = tuple(mended(engine, kv, known) for known in incarnations)
            if is_copy is None:
                is_copy = written_as >= _FORMAT_WITH_PLACE
            if power_lost or is_copy:
                log.warning("store.new_life", left=incarnations[-1].id, power_lost=power_lost)
                end = read_head(engine, kv, incarnations[-1]).sequence
                incarnations = with_new_incarnation(incarnations, new_incarnation(), end)
        heads = {known: read_head(engine, kv, known) for known in incarnations}
        *earlier, present = incarnations
        heads[present] = sound_head(engine, kv, present)
        waiting = {known: heads[known].sequence - known.acknowledged_sequence for known in earlier}
        incarnations = (*(known for known in earlier if waiting[known]), present)
        take_over_tallies(engine, kv, present)
        names = read_names(engine, kv)
        answer_place = AnswerPlace(names)
        answer_place.take_over(take_over_answers(engine, kv))
        # On a full disk nothing more can be written.
        if incarnations != stored or present.ordinal not in names:
            write_incarnations(kv, incarnations)
            names[present.ordinal] = present.id
        kv.commit()
    except BaseException:
        kv.abort()
        raise
    store = Store(engine, incarnations, heads[present], outbox_records_max, answer_place)
    store.set_incarnations(incarnations, heads[present], sum(waiting.values()))
    return store


def _require_format(kv: KvTransaction) -> int:
    """Refuse a newer format. An older one is read as it is, and from now on is of this format.

    The format until now; 0 for none.
    """
    data = kv.get(keys.META_FORMAT)
    if data is not None and not (data.isdigit() and len(data) < 10):
        raise StoreDamaged("damage in the store: a format that is no number")
    if data is None or int(data) < codec.STORE_FORMAT:
        kv.put(keys.META_FORMAT, str(codec.STORE_FORMAT).encode())
    elif int(data) > codec.STORE_FORMAT:
        raise StoreFormatError(
            f"the store has format {int(data)}, written by a newer tallyd; this one reads up to "
            f"{codec.STORE_FORMAT}: use the newer program, or another store path"
        )
    return 0 if data is None else int(data)
