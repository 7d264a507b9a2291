"""The channels of tests to daemons."""

from __future__ import annotations

import json
from typing import Final

import grpc

_WAIT_FOR_READY: Final = json.dumps({"methodConfig": [{"name": [{}], "waitForReady": True}]})
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config", _WAIT_FOR_READY),
    # How soon a server that is back is found. How long an attempt may take is left as it is, 20 s:
    # lowering `min_reconnect_backoff_ms` lowers that, too, and a busy server misses it.
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 200),
    # Each channel has a connection of its own: callers are not served one behind the other.
    ("grpc.use_local_subchannel_pool", 1),
)


def channel_to(address: str, *options: tuple[str, int]) -> grpc.aio.Channel:
    """A channel whose calls wait for the server, where it is starting or starting again."""
    return grpc.aio.insecure_channel(address, options=(*_OPTIONS, *options))
