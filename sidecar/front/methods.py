"""Methods that a server hosts, by kind."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sidecar.front.errors import Code

if TYPE_CHECKING:
    from sidecar.front.machine.calls import Context, UnaryCall

UnaryHandler: TypeAlias = "Callable[[UnaryCall], None]"
UnaryBehaviour: TypeAlias = "Callable[[bytes, Context], Awaitable[bytes]]"
ServerStreamBehaviour: TypeAlias = "Callable[[bytes, Context], AsyncIterator[bytes]]"
ClientStreamBehaviour: TypeAlias = "Callable[[AsyncIterator[bytes], Context], Awaitable[bytes]]"
BidiStreamBehaviour: TypeAlias = "Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]"


class Kind(enum.Enum):
    """How a method takes its request and gives its answer."""

    UNARY = enum.auto()
    UNARY_ASYNC = enum.auto()
    SERVER_STREAM = enum.auto()
    CLIENT_STREAM = enum.auto()
    BIDI_STREAM = enum.auto()


_STREAMS_REQUEST: Final = (Kind.CLIENT_STREAM, Kind.BIDI_STREAM)


class Method:
    """A hosted method. `handle` is its handler or behaviour, of the type that its kind demands.

    answers_at_once: its calls are given to the handler as they are read.
    streams_request: its request is any number of messages.
    endings: how many of its calls have ended, by status code. Its user may set another list.
    """

    __slots__ = ("answers_at_once", "endings", "handle", "kind", "streams_request")

    def __init__(self, kind: Kind, handle: Callable[..., Any]) -> None:
        self.kind = kind
        self.handle = handle
        self.answers_at_once = kind is Kind.UNARY
        self.streams_request = kind in _STREAMS_REQUEST
        self.endings = [0] * len(Code)


def unary(handle: UnaryHandler) -> Method:
    """One message in, one out. The handler calls `answer` or `fail` of its call, now or later.

    Nothing is made for the call that could wait: no task, no future, no coroutine.
    """
    return Method(Kind.UNARY, handle)


def unary_async(behaviour: UnaryBehaviour) -> Method:
    """One message in, one out, by a coroutine that runs as a task."""
    return Method(Kind.UNARY_ASYNC, behaviour)


def server_stream(behaviour: ServerStreamBehaviour) -> Method:
    """One message in, any number out, by an asynchronous generator."""
    return Method(Kind.SERVER_STREAM, behaviour)


def client_stream(behaviour: ClientStreamBehaviour) -> Method:
    """Any number of messages in, one out."""
    return Method(Kind.CLIENT_STREAM, behaviour)


def bidi_stream(behaviour: BidiStreamBehaviour) -> Method:
    """Any number of messages in, any number out."""
    return Method(Kind.BIDI_STREAM, behaviour)
