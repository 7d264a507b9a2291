"""What can be configured: one frozen struct for each daemon, every field with a safe default."""

from __future__ import annotations

import os
import socket
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.config.addresses import check_listen_address, check_socket_path, check_target

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

NODE_BYTES_MAX = 128


def _check_path(path: str) -> None:
    if not path or "\0" in path:
        raise ValueError(f"must be a path, not {path!r}")


def _check_node(name: str) -> None:
    problem = KNOWN_NAMES.identifier_problem(name, NODE_BYTES_MAX)
    if problem is not None:
        raise ValueError(problem)


def _host_name() -> str:
    """Return this machine's name, cut to the bytes that a node's name may have."""
    return socket.gethostname().encode()[:NODE_BYTES_MAX].decode(errors="ignore") or "unknown"


def _http_listen(port: int) -> str:
    """Loopback; the pod's address in a container of Kubernetes, since probes come from the node."""
    host = "0.0.0.0" if "KUBERNETES_SERVICE_HOST" in os.environ else "127.0.0.1"  # noqa: S104
    return f"{host}:{port}"


def _sidecar_http_listen() -> str:
    return _http_listen(7712)


def _control_http_listen() -> str:
    return _http_listen(7722)


Path = Annotated[str, Meta(extra={"check": _check_path})]
ListenAddress = Annotated[str, Meta(extra={"check": check_listen_address})]

HttpListen = Annotated[
    ListenAddress,
    Meta(
        description="HOST:PORT for the probes and metrics over HTTP; empty for none. By default "
        "on loopback, but on 0.0.0.0 in Kubernetes, whose probes come from outside the pod."
    ),
]
ConcurrentCallsMax = Annotated[
    int,
    Meta(ge=1, le=65_536, description="Calls in progress at once; more get RESOURCE_EXHAUSTED."),
]
DrainSecondsMax = Annotated[
    int,
    Meta(ge=0, le=3600, description="Seconds that a stop may take to finish calls and flush."),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    Meta(description="The least severe log events that are written."),
]
LogFormat = Annotated[
    Literal["json", "console"],
    Meta(description='"json" writes one object a line, "console" is for people.'),
]


class SidecarConfig(Struct, frozen=True, kw_only=True):
    """Configuration of `tallyd sidecar`. Exactly one of `control` and `standalone` is set.

    Where both are, the one of the higher source counts: a flag, then the environment, then a file.
    """

    control: Annotated[
        str,
        Meta(
            description="Address of the control plane: HOST:PORT, dns:///HOST:PORT or unix:PATH.",
            extra={"check": check_target},
        ),
    ] = ""
    standalone: Annotated[
        str,
        Meta(
            description="Catalog file: the sidecar is then the authority, without a control plane. "
            "As a flag it wins over a control plane that the environment or a file names."
        ),
    ] = ""
    node: Annotated[
        str,
        Meta(
            description="Name of this sidecar for people; by default the host's name.",
            extra={"check": _check_node},
        ),
    ] = field(default_factory=_host_name)

    store_path: Annotated[
        Path, Meta(description="Directory of the store, on a local disk, for this sidecar alone.")
    ] = "/var/lib/tallyd/sidecar"
    store_bytes_max: Annotated[
        int, Meta(ge=MIB, le=16 * TIB, description="Bytes that the store may grow to.")
    ] = 4 * GIB
    durability: Annotated[
        Literal["process", "disk"],
        Meta(
            description='What an answer survives: "process" a killed process, "disk" a power cut '
            "as well (each answer waits for a shared fsync)."
        ),
    ] = "process"

    socket_path: Annotated[
        str,
        Meta(
            description="Unix socket to serve gRPC on; empty for none.",
            extra={"check": check_socket_path},
        ),
    ] = "/run/tallyd/sidecar.sock"
    listen: Annotated[
        ListenAddress, Meta(description="HOST:PORT to serve gRPC on; empty for none.")
    ] = "127.0.0.1:7711"
    http_listen: HttpListen = field(default_factory=_sidecar_http_listen)
    concurrent_calls_max: ConcurrentCallsMax = 1024
    watches_max: Annotated[
        int,
        Meta(
            ge=0,
            le=65_536,
            description="Streams of WatchEntitlements that are open at once; more get "
            "RESOURCE_EXHAUSTED.",
        ),
    ] = 1000
    message_bytes_max: Annotated[
        int,
        Meta(ge=64 * KIB, le=64 * MIB, description="Bytes of one gRPC message, either way."),
    ] = 4 * MIB
    transport: Annotated[
        Literal["native", "grpcio"],
        Meta(
            description='What carries gRPC: "native" is tallyd\'s own, "grpcio" the one of earlier '
            "releases, which goes with the next."
        ),
    ] = "native"

    snapshots: Annotated[
        Literal["on_demand", "all"],
        Meta(
            description='Which companies to keep: "on_demand" fetches one on its first call, '
            '"all" fetches everyone at start.'
        ),
    ] = "on_demand"
    companies_cached_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Companies whose rights are kept decoded in memory."),
    ] = 5000
    companies_held_max: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Companies that the store keeps with on_demand; those least recently used "
            "go first, and are fetched again when they are needed.",
        ),
    ] = 50_000
    fetch_timeout_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="Milliseconds that a call waits at most for a company's first snapshot.",
        ),
    ] = 1000
    idempotency_hours: Annotated[
        int,
        Meta(ge=24, le=24 * 90, description="Hours that an idempotency key is remembered."),
    ] = 24
    dimension_problems: Annotated[
        Literal["refuse", "warn"],
        Meta(
            description='Requests whose dimensions are not as their feature declares: "refuse" '
            'them, or let them pass and "warn" in the answer and in metrics, for a change-over.'
        ),
    ] = "refuse"
    answers_percent_max: Annotated[
        int,
        Meta(
            ge=1,
            le=75,
            description="Percent of store_bytes_max for answers that are kept for retries; past it "
            "the oldest are forgotten before idempotency_hours are over.",
        ),
    ] = 50

    lease_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600,
            description="Seconds that what is leased of an exact limit is to do for, as used: so "
            "long the control plane may be away. A longer time leaves other sidecars less.",
        ),
    ] = 120
    lease_idle_seconds: Annotated[
        int,
        Meta(
            ge=10,
            le=86_400,
            description="Seconds after which a lease that is not used is given back.",
        ),
    ] = 3_600
    leases_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Leases held at once; beyond, those least recently used are given back.",
        ),
    ] = 100_000

    outbox_records_max: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000_000,
            description="Usage records that may wait for the control plane before the fail policy "
            "decides.",
        ),
    ] = 1_000_000
    push_records_max: Annotated[
        int, Meta(ge=1, le=1000, description="Usage records sent in one push.")
    ] = 500
    push_linger_ms: Annotated[
        int,
        Meta(ge=0, le=60_000, description="Milliseconds that a push waits to collect records."),
    ] = 50

    rate_share_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=60_000,
            description="Milliseconds after which the control plane is told what is asked of rates "
            "here, and says which share of each this sidecar goes by.",
        ),
    ] = 1000

    drain_seconds_max: DrainSecondsMax = 20
    log_level: LogLevel = "info"
    log_format: LogFormat = "json"


class ControlConfig(Struct, frozen=True, kw_only=True):
    """Configuration of `tallyd control`."""

    database_path: Annotated[
        Path, Meta(description="SQLite file of the control plane; its directory must exist.")
    ] = "/var/lib/tallyd/control.db"
    database_missing: Annotated[
        Literal["refuse", "begin_anew"],
        Meta(
            description="What to do where a database was and is missing or empty: "
            '"refuse" to start, so that it can be restored, or "begin_anew" with an empty one; '
            "usage that only it had is then lost, and `tallyd reconcile` shows it."
        ),
    ] = "refuse"
    listen: Annotated[ListenAddress, Meta(description="HOST:PORT to serve gRPC on.")] = (
        "127.0.0.1:7721"
    )
    http_listen: HttpListen = field(default_factory=_control_http_listen)
    lease_release_seconds: Annotated[
        int,
        Meta(
            ge=60,
            le=30 * 86_400,
            description="How long a silent sidecar's leases of LIFETIME limits are kept for it; "
            "a quarter of it more at the most, and ten minutes. Should it spend them later all the "
            "same, the limit is passed by that.",
        ),
    ] = 86_400
    concurrent_calls_max: ConcurrentCallsMax = 1024
    message_bytes_max: Annotated[
        int,
        Meta(ge=64 * KIB, le=1024 * MIB, description="Bytes of one gRPC message, either way."),
    ] = 64 * MIB
    drain_seconds_max: DrainSecondsMax = 20
    log_level: LogLevel = "info"
    log_format: LogFormat = "json"
