"""What a control plane has to be told, and what comes of it for its connections."""

from __future__ import annotations

from typing import Any, Literal, Protocol


class Settings(Protocol):
    """What a control plane has to be told; see the configuration for meanings and bounds.

    Addresses are HOST:PORT or [IPv6 address]:PORT; an empty `http_listen` is none.
    """

    @property
    def database_path(self) -> str: ...
    @property
    def database_missing(self) -> Literal["refuse", "begin_anew"]: ...
    @property
    def listen(self) -> str: ...
    @property
    def http_listen(self) -> str: ...
    @property
    def lease_release_seconds(self) -> int: ...
    @property
    def concurrent_calls_max(self) -> int: ...
    @property
    def message_bytes_max(self) -> int: ...
    @property
    def drain_seconds_max(self) -> int: ...
    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> Literal["json", "console"]: ...


def channel_options(settings: Settings) -> list[tuple[str, Any]]:
    """Options of the gRPC server."""
    return [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        # Two processes on one port would share calls between two databases, unnoticed.
        ("grpc.so_reuseport", 0),
        # Sidecars ping every 20 s, also on a connection without calls.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 10_000),
    ]
