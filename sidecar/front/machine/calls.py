"""Calls, as handlers and behaviours see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.front.errors import Status
from sidecar.front.machine.blocks import fields
from sidecar.front.machine.heads import RequestHead
from sidecar.front.machine.metadata import Metadata, decoded, encoded

if TYPE_CHECKING:
    from sidecar.front.machine.state import State
    from sidecar.front.machine.streams import Stream


class Extras:
    """What a call adds to its answer beyond the message. initial, trailing: fields, encoded."""

    __slots__ = ("compressed", "initial", "trailing")

    def __init__(self) -> None:
        self.initial = b""
        self.trailing = b""
        self.compressed = False


class Context:
    """A call: what it says of itself, and what may be added to its answer.

    ended: it was answered or failed, or has come to its deadline, or the peer has given it up.
    """

    __slots__ = (
        "_timeout_seconds",
        "connection",
        "ended",
        "extras",
        "head",
        "stream",
        "stream_id",
    )

    def __init__(
        self, connection: State, stream_id: int, head: RequestHead, timeout_seconds: float
    ) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.head = head
        self._timeout_seconds = timeout_seconds
        self.ended = False
        self.stream: Stream | None = None
        self.extras: Extras | None = None

    @property
    def path(self) -> str:
        """The method's name: "/package.Service/Method"."""
        return self.head.path.decode("utf-8", "replace")

    @property
    def peer(self) -> str:
        """Who calls: "unix:", "ipv4:127.0.0.1:123" or "ipv6:%5B::1%5D:123"."""
        return self.connection.peer

    @property
    def metadata(self) -> Metadata:
        """The custom metadata of the request."""
        return decoded(self.head.custom)

    @property
    def deadline(self) -> float | None:
        """When the call ends by itself, by the server's clock; None: never."""
        if self.stream is not None:
            return self.stream.deadline or None
        return self.connection.now + self._timeout_seconds if self._timeout_seconds else None

    def time_remaining(self) -> float | None:
        """Seconds until the deadline, at least 0; None without one."""
        deadline = self.deadline
        if deadline is None:
            return None
        return max(0.0, deadline - self.connection.shared.clock())

    def send_initial_metadata(self, metadata: Metadata) -> None:
        """Metadata that goes before the first message. Raises ValueError for impossible ones."""
        self._extras().initial = fields(encoded(metadata))
        self.connection.send_initial(self)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Metadata that goes with the status. Raises ValueError for impossible ones."""
        self._extras().trailing = fields(encoded(metadata))

    def compress(self) -> None:
        """Send this call's messages with gzip, if the peer takes that."""
        self._extras().compressed = self.head.accepts_gzip

    def _extras(self) -> Extras:
        if self.extras is None:
            self.extras = Extras()
        return self.extras


class UnaryCall(Context):
    """A unary call that is answered by `answer` or `fail`, now or later, on the loop's thread.

    Once it has ended, both do nothing.
    """

    __slots__ = ("granted", "message")

    def __init__(
        self,
        connection: State,
        stream_id: int,
        head: RequestHead,
        timeout_seconds: float,
        message: bytes,
        granted: int = 0,
    ) -> None:
        # Context's initialiser, written out: this is the path of every call.
        self.connection = connection
        self.stream_id = stream_id
        self.head = head
        self._timeout_seconds = timeout_seconds
        self.message = message
        self.granted = granted  # by which the stream's window is larger than usual
        self.ended = False
        self.stream = None
        self.extras = None

    def handle(self) -> None:
        """Give the call to its method's handler. What that raises becomes the call's outcome."""
        try:
            self.head.method.handle(self)  # type: ignore[union-attr]  # a usual head has a method
        except Exception as error:
            self.fail(error)

    def defer(self) -> None:
        """Count the call as under way: its answer comes later, and surely.

        For handlers to say before they begin what outlives their turn. Even where the peer gives
        the call up, it counts until they answer. Raises Status (RESOURCE_EXHAUSTED) where too many
        calls are under way: then nothing of it may be begun.
        """
        if not self.ended:
            self.connection.defer(self)

    def answer(self, message: bytes) -> None:
        """End the call with a message."""
        if not self.ended:
            self.ended = True
            self.connection.answer(self, message)
        else:
            self.connection.handled(self)

    def fail(self, error: Exception) -> None:
        """End the call with a status other than OK, or with the one that the server gives it."""
        if not self.ended:
            # Before it has ended: a mistake in this ends the connection.
            status = error if isinstance(error, Status) else self.connection.shared.status_of(error)
            self.ended = True
            self.connection.fail(self, status)
        else:
            self.connection.handled(self)


class TaskCall(Context):
    """A call whose behaviour runs as a task."""

    __slots__ = ("message", "runner", "told")

    def __init__(
        self, connection: State, stream: Stream, head: RequestHead, message: bytes | None
    ) -> None:
        super().__init__(connection, stream.id, head, 0.0)
        self.stream = stream
        self.message = message  # None: the request is a stream
        self.told = False  # an event says that there is something in the inbox
        self.runner: object | None = None  # the driver's
