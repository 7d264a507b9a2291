"""What a hosted method may know of the call that it answers, whatever carries it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


class CallContext(Protocol):
    """Who calls, with what metadata, and for how long the answer is waited for."""

    @property
    def peer(self) -> str:
        """Where the caller is, such as `unix:` or `ipv4:127.0.0.1:4711`."""
        ...

    @property
    def metadata(self) -> Metadata:
        """What the caller sent along, in order: names in lower case, bytes where they end in -bin.

        Identities, once there are any, are told here too.
        """
        ...

    def time_remaining(self) -> float | None:
        """Seconds until the caller gives up; `None` where it does not say."""
        ...


class HostedCall(CallContext, Protocol):
    """A call of one message, to be answered once, now or later, on the event loop."""

    @property
    def message(self) -> bytes:
        """The request."""
        ...

    def defer(self) -> None:
        """Say that the answer comes later, before anything is begun that outlives this turn.

        Raises where too many calls are under way: the caller is told that nothing was done.
        """
        ...

    def answer(self, message: bytes, /) -> None:
        """Answer it. Without effect where the caller has gone."""
        ...

    def fail(self, error: Exception, /) -> None:
        """End it with the status of an error. Without effect where the caller has gone."""
        ...
