"""Why an answer is what it is, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb

REASON_WORDS: Final[Mapping[int, str]] = {
    pb.REASON_LIMIT_EXCEEDED: "a hard limit has less left than was asked for",
    pb.REASON_NOT_ENTITLED: "no plan, add-on or override grants the feature",
    pb.REASON_TRIAL_ENDED: "the trial has ended without a paid subscription",
    pb.REASON_SUBSCRIPTION_PAST_DUE: "the payment is late beyond its grace",
    pb.REASON_SUBSCRIPTION_PAUSED: "the subscription is paused",
    pb.REASON_SUBSCRIPTION_CANCELED: "the subscription was canceled or has ended",
    pb.REASON_UNKNOWN_COMPANY: "nothing is known of the company",
    pb.REASON_UNKNOWN_FEATURE: "the catalog has no such feature",
    pb.REASON_RATE_LIMITED: "a rate has less free than was asked for",
    pb.REASON_SNAPSHOT_STALE: (
        "the control plane was not heard for longer than the feature tolerates"
    ),
    pb.REASON_CREDITS_EXHAUSTED: "the balance has less left than it costs",
    pb.REASON_SEATS_EXHAUSTED: "all seats are taken",
    pb.REASON_OUTBOX_FULL: "the outbox is full, and the feature's fail policy denies then",
    pb.REASON_LEASE_UNAVAILABLE: (
        "this sidecar has too small a lease, and got no more: the control plane could not be "
        "asked, or others hold what is left"
    ),
}
