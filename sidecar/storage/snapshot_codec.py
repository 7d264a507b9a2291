"""Snapshots of companies and the head of the catalog on disk: their bytes, and nothing else."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.company.model import CompanySnapshot
from sidecar.storage.codec import decode_value, require_version_1
from sidecar.storage.damage import reads
from sidecar.storage.older_snapshots import decode_version_1, decode_version_2

_SEGMENTS: Final = 2
"""Version of a snapshot whose segments each say all that holds."""
_SNAPSHOT: Final = 3
_CATALOG_HEAD: Final = 2
"""Version of the head of a catalog in parts, instead of a catalog in one piece."""

_pack = msgspec.msgpack.Encoder().encode


class CatalogHead(msgspec.Struct, frozen=True):
    """Where the catalog is, as of which revision of the control plane.

    `generation` is in the keys of its `parts`, so that the next one is written beside it. Up to
    format 2 a catalog was in one piece: that has no parts.
    """

    version: int
    generation: int
    parts: int


def encode_snapshot(snapshot: CompanySnapshot) -> bytes:
    """Bytes of a company's snapshot."""
    return bytes([_SNAPSHOT]) + _pack(snapshot)


@reads("a company's snapshot")
def decode_snapshot(data: bytes) -> CompanySnapshot:
    """A company's snapshot, of this version or an earlier one."""
    body = memoryview(data)[1:]
    if data[0] == _SNAPSHOT:
        return msgspec.msgpack.decode(body, type=CompanySnapshot)
    if data[0] == _SEGMENTS:
        return decode_version_2(body)
    require_version_1(data[0])
    return decode_version_1(body)


@reads("a company's snapshot")
def version_of(encoded_snapshot: bytes) -> int:
    """The version of an encoded snapshot of a company."""
    return msgspec.msgpack.decode(memoryview(encoded_snapshot)[1:], type=_Versioned).version


def encode_catalog_head(head: CatalogHead) -> bytes:
    """Bytes of the head of a catalog in parts."""
    return bytes([_CATALOG_HEAD]) + _pack(head)


@reads("the catalog")
def decode_catalog_head(data: bytes) -> CatalogHead:
    """The head of a catalog; one without parts is in one piece, and in the place of the head."""
    if data[0] == _CATALOG_HEAD:
        return msgspec.msgpack.decode(memoryview(data)[1:], type=CatalogHead)
    return CatalogHead(decode_value(data, _Versioned).version, 0, 0)


class _Versioned(msgspec.Struct, frozen=True):
    version: int
