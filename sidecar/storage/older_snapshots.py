"""Snapshots as earlier formats of the store have them: each segment says all that holds."""

from __future__ import annotations

import msgspec

from sidecar.domain.company.model import CompanySnapshot, Segment
from sidecar.domain.company.spans import snapshot_of


class _SnapshotV1(msgspec.Struct, frozen=True):
    company: str
    version: int
    time_zone: str = "UTC"
    anchor_us: int | None = None
    segments: tuple[Segment, ...] = (Segment(),)


class _SnapshotV2(msgspec.Struct, frozen=True):
    company: str
    version: int
    segments: tuple[Segment, ...] = (Segment(),)


def decode_version_1(data: memoryview) -> CompanySnapshot:
    """A snapshot behind version byte 1: time zone and anchor are beside the segments."""
    old = msgspec.msgpack.decode(data, type=_SnapshotV1)
    segments = [
        msgspec.structs.replace(segment, time_zone=old.time_zone, anchor_us=old.anchor_us)
        for segment in old.segments
    ]
    return snapshot_of(old.company, old.version, segments)


def decode_version_2(data: memoryview) -> CompanySnapshot:
    """A snapshot behind version byte 2."""
    old = msgspec.msgpack.decode(data, type=_SnapshotV2)
    return snapshot_of(old.company, old.version, old.segments)
