"""What the rate share machine has done, and what it is told of it. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.rate_shares import RateShare


class ShareReading(msgspec.Struct, frozen=True, gc=False):
    """How the bucket of a rate stands: the share that was told, and how full it is.

    `is_let_go`: it was to be let go, and is: it had drained.
    """

    told_ppm: int | None
    fill_ppm: int
    is_let_go: bool = False


class TellShares(msgspec.Struct, frozen=True):
    """The buckets of these rates are to be read, to be told of; `lets_go`: unless they are in use.

    Each by its key, with its terms.
    """

    rates: Sequence[tuple[bytes, Rate]]
    lets_go: frozenset[bytes]


class TakeAsked(msgspec.Struct, frozen=True):
    """What was asked is to be handed over."""


class ShareRest(msgspec.Struct, frozen=True):
    """Nothing is to be done before an instant, unless a rate is asked of that has no share."""

    until_us: int


class ShareMove(msgspec.Struct, frozen=True, gc=False):
    """A share that is to be gone by, if the bucket goes by `from_ppm` still."""

    key: bytes
    rate: Rate
    from_ppm: int | None
    share: RateShare


ShareAction: TypeAlias = TellShares | TakeAsked | ShareRest
