"""Bytes of buckets of rates, as they are on disk."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.limits.rates import Bucket
from sidecar.storage.bucket_codec import decode_bucket, encode_bucket, over_of
from sidecar.storage.damage import StoreDamaged

BUCKET_HEX: Final = (
    "01"  # version
    "2c01000000000000"  # level
    "4d00000000000000"  # when it was that full
    "0000d8c35a4e0600"  # from when on it may be forgotten
)
SHARED_HEX: Final = "02" + BUCKET_HEX[2:] + "02000000" + "90d00300"
"""The same with a share of a quarter, told to the second incarnation."""


@pytest.mark.parametrize(("level", "written"), [(300, BUCKET_HEX), (-2, "01fe" + "ff" * 7)])
def test_a_bucket_is_written_and_read_like_this(level: int, written: str) -> None:
    bucket = Bucket(level, 77)
    data = encode_bucket(bucket, 1_775_001_600_000_000, 2)
    assert written + BUCKET_HEX[len(written) :] == data.hex()
    assert bucket == decode_bucket(data, 2)
    assert 1_775_001_600_000_000 == over_of(data)


def test_a_bucket_of_a_share_is_written_and_read_like_this() -> None:
    bucket = Bucket(300, 77, 250_000)
    data = encode_bucket(bucket, 1_775_001_600_000_000, 2)
    assert SHARED_HEX == data.hex()
    assert bucket == decode_bucket(data, 2)
    assert 1_775_001_600_000_000 == over_of(data)
    assert Bucket(300, 77) == decode_bucket(data, 3), "a share of an earlier incarnation is none"


@pytest.mark.parametrize(
    ("written", "match"),
    [
        pytest.param("09" + BUCKET_HEX[2:], "version 9", id="a later version"),
        pytest.param("09" + SHARED_HEX[2:], "version 9", id="a later version, with a share"),
        pytest.param(SHARED_HEX[:-8] + "41420f00", "more than all", id="more than the whole"),
        pytest.param(SHARED_HEX[:-2], "a rate's bucket", id="cut off"),
    ],
)
def test_what_nobody_wrote_is_damage(written: str, match: str) -> None:
    with pytest.raises(StoreDamaged, match=match):
        decode_bucket(bytes.fromhex(written), 2)
