"""That state was lost, and who may hold leases that it knew of. Values only."""

from __future__ import annotations

import msgspec


class LeaseRecovery(msgspec.Struct, frozen=True):
    """That the database was found to be an older state; instants by the plane's clock.

    `restored_us`: when. `unknown_until_us`: how long it is waited for holders of whom this plane
    does not know; 0 where it knows all of them. `lifetime_until_us`: how long LIFETIME limits wait
    for anybody. `ended_us`: when an operator ended it.
    """

    restored_us: int
    unknown_until_us: int
    lifetime_until_us: int
    ended_us: int | None = None


class ExpectedHolder(msgspec.Struct, frozen=True):
    """An incarnation that was granted leases which this state does not know of.

    `until_us`, `has_lifetime`: of which windows; `number`: of the last request that was granted
    anything (see `WitnessedHolder`). `reporter`: who said what it holds, itself or a later
    incarnation of its store; empty for nobody yet. `reported`: all of it was said.
    """

    incarnation: str
    until_us: int
    has_lifetime: bool
    reporter: str = ""
    reported: bool = False
    number: int = 0


class MissingHolders(msgspec.Struct, frozen=True):
    """Expected holders that have not reported: how many, and what the last of them may hold.

    `until_us`: latest end of a window that any of them was granted of; 0 for none.
    """

    count: int = 0
    until_us: int = 0
    has_lifetime: bool = False
