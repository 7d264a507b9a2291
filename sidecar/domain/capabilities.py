"""What sidecar and plane know of each other's abilities, as they say at every greeting."""

from __future__ import annotations

import enum


class Capability(enum.IntEnum):
    """What a program knows beyond the first version of the API between them. Numbers as there."""

    LEASES = 1
    RATE_SHARES = 2
    SEATS = 5
