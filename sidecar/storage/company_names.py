"""By which other ids companies are called that are held: where each of them leads.

An entry is a hint. The company's snapshot says whether it is called so: what an entry leads to is
looked at before it is believed, so that entries may be written before the snapshot is in force.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sidecar.domain.company.model import CompanySnapshot
from sidecar.storage import codec, keys
from sidecar.storage.damage import reads
from sidecar.storage.kv_engine import KvTransaction


class _Named(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = ()


@reads("a company's snapshot")
def names_of(encoded_snapshot: bytes) -> tuple[str, ...]:
    """The names of an encoded snapshot of a company."""
    return msgspec.msgpack.decode(memoryview(encoded_snapshot)[1:], type=_Named).names


def first_id(kv: KvTransaction, name: str) -> str | None:
    """The first id of the company that may be called by a name; `None` where none is."""
    data = kv.get(keys.name_of_company_key(name))
    return None if data is None else codec.decode_value(data, str)


def led_to(kv: KvTransaction, name: str, bytes_of: Callable[[str], bytes | None]) -> bytes | None:
    """The encoded snapshot of the company that is called so; `bytes_of` gives those held by id."""
    first = first_id(kv, name)
    data = bytes_of(first) if first else None
    return data if data and name in names_of(data) else None


def note_names(kv: KvTransaction, snapshot: CompanySnapshot) -> None:
    """Keep where the names of a company lead that is put; who has a snapshot is not absent."""
    for name in snapshot.names:
        kv.delete(keys.absent_key(name))
        if name != snapshot.company:
            kv.put(keys.name_of_company_key(name), codec.encode_value(snapshot.company))


def forget_names(kv: KvTransaction, company: str, snapshot: bytes | None) -> None:
    """Keep no longer where the names of an encoded snapshot lead, which goes."""
    for name in names_of(snapshot) if snapshot else ():
        if first_id(kv, name) == company:
            kv.delete(keys.name_of_company_key(name))
