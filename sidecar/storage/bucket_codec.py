"""Buckets of rates on disk: their bytes, and nothing else; see `codec`."""

from __future__ import annotations

import struct
from typing import Final

from sidecar.domain.limits.rates import WHOLE_PPM, Bucket
from sidecar.storage.damage import StoreDamaged, reads

_PLAIN: Final = 1
_SHARED: Final = 2
"""Version of a bucket that ends in a share, behind the incarnation that was told it."""

_BUCKET = struct.Struct("<Bqqq")
_SHARE = struct.Struct("<II")


def encode_bucket(bucket: Bucket, over_us: int, incarnation: int) -> bytes:
    """Bytes of a rate's bucket, which may be forgotten from `over_us` on."""
    if bucket.share_ppm is None:
        return _BUCKET.pack(_PLAIN, bucket.level, bucket.updated_us, over_us)
    fixed = _BUCKET.pack(_SHARED, bucket.level, bucket.updated_us, over_us)
    return fixed + _SHARE.pack(incarnation, bucket.share_ppm)


@reads("a rate's bucket")
def decode_bucket(data: bytes, incarnation: int) -> Bucket:
    """A rate's bucket. A share that an earlier incarnation was told is none of a later one's."""
    if len(data) == _BUCKET.size:
        version, level, updated_us, _ = _BUCKET.unpack(data)
        _require(version, _PLAIN)
        return Bucket(level, updated_us)
    version, level, updated_us, _ = _BUCKET.unpack_from(data)
    told_to, share_ppm = _SHARE.unpack(data[_BUCKET.size :])
    _require(version, _SHARED)
    if share_ppm > WHOLE_PPM:
        raise StoreDamaged("damage in the store: more than all of a rate")
    return Bucket(level, updated_us, share_ppm if told_to == incarnation else None)


def _require(version: int, expected: int) -> None:
    if version != expected:
        raise StoreDamaged(f"damage in the store: a bucket of version {version}")


@reads("a rate's bucket")
def over_of(data: bytes) -> int:
    """From when on an encoded bucket may be forgotten, for the sweep."""
    return int(_BUCKET.unpack_from(data)[3])
