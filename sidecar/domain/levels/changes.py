"""Changes of a level: what is asked, and what every such request obeys.

Rules
- More of a level is in use, or less, by an amount; or so much of it is, whatever was before.
- What is in use may be named: an item. Of an item no less can be in use than nothing, and it keeps
  the attributes that it was first counted with: so what takes it back takes it from there.
- An item may have a time to live. Where a feature says how long at most, everything that comes to
  be in use has one, and so is an item.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from hashlib import sha256

import msgspec

from sidecar.domain.bounds import INT64_MAX, LEVEL_TTL_US_MAX, LEVEL_TTL_US_MIN
from sidecar.domain.errors import FailedPrecondition, InvalidInput, OutOfRange
from sidecar.domain.formatting import duration_text
from sidecar.domain.limits.requests import NO_ATTRIBUTES

BELOW_ZERO = "BELOW_ZERO"


class LevelAction(enum.Enum):
    """How a change is said: by how much, or how much is in use then."""

    ADJUST = "adjust"
    SET = "set"


class LevelChange(msgspec.Struct, frozen=True):
    """A change of what is in use, in the feature's unit; below 0 only where it adjusts.

    `event_time_us`: when it happened, microseconds since the Unix epoch. `item`: empty for none.
    `ttl_us`: `None` where it is not said. `idempotency_key`: empty for none.
    """

    company: str
    feature: str
    action: LevelAction
    amount: int
    event_time_us: int
    item: str = ""
    ttl_us: int | None = None
    idempotency_key: str = ""
    dimensions: Mapping[str, str] = NO_ATTRIBUTES
    metadata: Mapping[str, str] = NO_ATTRIBUTES

    @property
    def field(self) -> str:
        """The field of the request that says how much."""
        return "amount" if self.action is LevelAction.ADJUST else "level"


def level_digest(change: LevelChange) -> bytes:
    """What must be equal in a retry under the same idempotency key; 16 bytes."""
    text = f"level\0{change.feature}\0{change.action.value}\0{change.amount}\0{change.item}"
    text += f"\0{'' if change.ttl_us is None else change.ttl_us}"
    dimensions = change.dimensions
    text += "".join([f"\0{name}\0{dimensions[name]}" for name in sorted(dimensions)])
    return sha256(text.encode()).digest()[:16]


def require_ttl(field: str, ttl_us: int, item: str) -> int:
    """A time to live of an item, 1 second to 366 days; else `InvalidInput`."""
    if not item:
        raise InvalidInput(field, "is of an item, and none is named")
    if not LEVEL_TTL_US_MIN <= ttl_us <= LEVEL_TTL_US_MAX:
        least, most = duration_text(LEVEL_TTL_US_MIN), duration_text(LEVEL_TTL_US_MAX)
        raise InvalidInput(field, f"must be {least} to {most}, is {duration_text(ttl_us)}")
    return ttl_us


def require_lives(change: LevelChange, ttl_max_us: int | None, *, lives: bool) -> None:
    """What comes to be in use, or lives longer, obeys the feature; else `InvalidInput`.

    `lives`: whether the item has a time to live already, which stays.
    """
    if ttl_max_us is None:
        return
    most = duration_text(ttl_max_us)
    if not change.item:
        raise InvalidInput("item", f"must be named: what is in use comes back within {most}")
    if change.ttl_us is None:
        if not lives:
            raise InvalidInput("time_to_live", f"must be set, to {most} at most")
    elif change.ttl_us > ttl_max_us:
        told = duration_text(change.ttl_us)
        raise InvalidInput("time_to_live", f"must be at most {most}, is {told}")


def changed_by(change: LevelChange, in_use: int) -> int:
    """By how much a level changes of which so much is in use.

    Raises `FailedPrecondition` (BELOW_ZERO) where less than nothing would be, and `OutOfRange`
    where more than 2^63-1 would.
    """
    difference = change.amount
    if change.action is LevelAction.SET:
        difference -= in_use
    if in_use + difference < 0:
        what = f"of item {change.item!r} " if change.item else ""
        message = f"takes back {-difference} where {in_use} {what}is in use; nothing was moved"
        raise FailedPrecondition(change.field, message, BELOW_ZERO)
    require_fits(change, difference, (in_use,))
    return difference


def require_fits(change: LevelChange, difference: int, in_use: Iterable[int]) -> None:
    """No more is in use of anything than 2^63-1; else `OutOfRange`."""
    if any(each + difference > INT64_MAX for each in in_use):
        raise OutOfRange(change.field, "more than 2^63-1 would be in use")
