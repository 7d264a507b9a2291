"""What Prometheus reads of the database, its disk, and its troubles."""

from __future__ import annotations

from sidecar.control.rpc.database_watch import DatabaseWatch
from sidecar.shared.ops.instruments import Instrument, MetricReading
from sidecar.shared.ops.metrics import disk_instruments, trouble_instruments


def database_instruments(watch: DatabaseWatch) -> list[Instrument]:
    """The instruments; what they read are plain numbers."""
    return [
        *trouble_instruments(watch.trouble),
        *disk_instruments(lambda: watch.disk),
        MetricReading(
            "tallyd_database_bytes",
            "Bytes of the database, without its write-ahead log.",
            lambda: watch.size_bytes,
        ),
        MetricReading(
            "tallyd_database_wal_bytes",
            "Bytes of the database's write-ahead log.",
            lambda: watch.wal_bytes,
        ),
    ]
