"""The sources of an entitlement, and what each did to it. Values only."""

from __future__ import annotations

import enum

import msgspec

from sidecar.domain.catalog.model import EntitlementGrant


class SourceKind(enum.IntEnum):
    """Kind of a source of entitlements. Numbers as in the API."""

    PLAN = 1
    ADD_ON = 2
    OVERRIDE = 3
    DEFAULT_PLAN = 4


class SourceEffect(enum.IntEnum):
    """What a source did to an entitlement. Numbers as in the API."""

    SILENT = 1
    GRANTED = 2
    ADDED = 3
    REPLACED = 4
    OUTRANKED = 5


class Source(msgspec.Struct, frozen=True):
    """One source: what it says of a feature (`grant`) and what is granted after it (`result`)."""

    kind: SourceKind
    key: str
    quantity: int
    effect: SourceEffect
    grant: EntitlementGrant | None
    result: EntitlementGrant | None
