"""What Prometheus reads of the room that a sidecar has, by what it is for, and of its troubles."""

from __future__ import annotations

from sidecar.app.store_watch import StoreWatch
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.config import SidecarConfig
from sidecar.shared.ops.instruments import Instrument, MetricReading
from sidecar.shared.ops.metrics import disk_instruments, trouble_instruments
from sidecar.storage.answers import Answers


def room_instruments(
    watch: StoreWatch, answers: Answers, config: SidecarConfig
) -> list[Instrument]:
    """The instruments; what they read are plain numbers."""

    def remembered_seconds() -> float:
        remembered_us = answers.remembered
        promised_seconds = config.idempotency_hours * 3600
        return promised_seconds if remembered_us is None else remembered_us / SECOND_US

    return [
        MetricReading(
            "tallyd_answers_bytes",
            "Bytes of the store that answers kept for retries take, as estimated.",
            lambda: answers.size_bytes,
        ),
        MetricReading(
            "tallyd_answers_max_bytes",
            "Bytes of the store that answers kept for retries may take.",
            lambda: answers.quota_bytes,
        ),
        MetricReading(
            "tallyd_answers_forgotten",
            "Answers that were forgotten before their time, for want of room.",
            lambda: answers.forgotten,
            kind="counter",
        ),
        MetricReading(
            "tallyd_answers_not_kept",
            "Answers that were not kept for retries, for want of room.",
            lambda: answers.not_kept,
            kind="counter",
        ),
        MetricReading(
            "tallyd_remembered_seconds",
            "How far back idempotency keys are remembered; as promised where there is room.",
            remembered_seconds,
        ),
        MetricReading(
            "tallyd_store_reserve_bytes",
            "Bytes of the store that are reserved for usage records.",
            lambda: watch.reserve_bytes,
        ),
        MetricReading(
            "tallyd_outbox_max_records",
            "Usage records that may wait for the control plane.",
            lambda: config.outbox_records_max,
        ),
        *trouble_instruments(watch.trouble),
        *disk_instruments(lambda: watch.disk),
    ]
