"""Companies' timelines, as sidecars get them: written.

Add-ons and overrides are messages of their own, each named once with when it is in force. Readers
of before know segments alone, which repeat all that holds: that form is written for whoever asks
without `accepts_spans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.company.model import (
    AddOnSpan,
    CompanySnapshot,
    OverrideSpan,
    Phase,
    Segment,
)
from sidecar.domain.company.spans import (
    segments_of,
)
from sidecar.domain.company.timeline import PHASES_MAX
from sidecar.shared.convert.credit_grants import credit_grant_to_message
from sidecar.shared.convert.grants import grant_to_message
from sidecar.shared.convert.subscriptions import (
    add_on_to_message,
    add_ons_to_messages,
)
from sidecar.shared.convert.times import (
    optional_timestamp,
    timestamp,
    timestamp_or_none,
)

SEGMENTED_BYTES_MAX: Final = 16 << 20
"""Room, for sidecars of before, of a snapshot whose segments repeat all that holds: they take
messages of 64 MiB."""
SEGMENTED_ANSWER_BYTES_MAX: Final = 3 << 20
"""The same for other callers, most of which take messages of 4 MiB."""


def snapshot_to_message(snapshot: CompanySnapshot) -> catalog_pb2.CompanySnapshot:
    """Turn a company's snapshot into a message, which names add-ons and overrides once."""
    message = _head_of(snapshot)
    message.segments.extend(map(_phase_to_message, snapshot.phases))
    for add_on_span in snapshot.add_ons:
        add_on = add_on_to_message(add_on_span.content)
        _set_time(message.add_on_spans.add(add_on=add_on), add_on_span)
    for override_span in snapshot.overrides:
        entitlement = grant_to_message(override_span.content)
        _set_time(message.override_spans.add(entitlement=entitlement), override_span)
    return message


def segmented_to_message(snapshot: CompanySnapshot, bytes_max: int) -> catalog_pb2.CompanySnapshot:
    """The same for readers of before: each segment repeats all that holds.

    That grows with the square of what was bought. The last segment for which there is room has no
    end: what is planned beyond it is told once something changes. Of more than there may be, the
    oldest are left out.
    """
    message = _head_of(snapshot)
    grants: dict[int, catalog_pb2.EntitlementGrant] = {}
    room = bytes_max
    for segment in segments_of(snapshot):
        for grant in segment.overrides:
            if id(grant) not in grants:  # they live as long as the snapshot
                grants[id(grant)] = grant_to_message(grant)
        told = _segment_to_message(segment, [grants[id(grant)] for grant in segment.overrides])
        room -= told.ByteSize()
        if room < 0 and message.segments:
            message.segments[-1].ClearField("until")
            break
        message.segments.append(told)
    if len(message.segments) > PHASES_MAX:
        del message.segments[:-PHASES_MAX]
        message.segments[0].ClearField("from")
    return message


def snapshot_for_reader(
    snapshot: CompanySnapshot, *, accepts_spans: bool, segmented_bytes_max: int
) -> catalog_pb2.CompanySnapshot:
    """The message of a snapshot in the form that its reader knows."""
    if accepts_spans:
        return snapshot_to_message(snapshot)
    return segmented_to_message(snapshot, segmented_bytes_max)


def segment_to_message(segment: Segment) -> catalog_pb2.Segment:
    """Turn a stretch of a timeline into a message, with all that holds in it."""
    return _segment_to_message(segment, list(map(grant_to_message, segment.overrides)))


def _head_of(snapshot: CompanySnapshot) -> catalog_pb2.CompanySnapshot:
    """A message without its segments; time zone and anchor of the last, for who knows no others."""
    last = snapshot.phases[-1]
    return catalog_pb2.CompanySnapshot(
        company=snapshot.company,
        version=snapshot.version,
        time_zone=last.time_zone,
        anchor=optional_timestamp(last.anchor_us),
        names=snapshot.names,
        credit_grants=map(credit_grant_to_message, snapshot.credit_grants),
    )


def _phase_to_message(phase: Phase) -> catalog_pb2.Segment:
    message = catalog_pb2.Segment(
        status=catalog_pb2.SubscriptionStatus.ValueType(phase.status),
        after_trial=phase.after_trial,
        plan=phase.plan,
        past_grace=phase.past_grace,
        time_zone=phase.time_zone,
        anchor=optional_timestamp(phase.anchor_us),
        generation=phase.generation,
        anchored_generation=phase.anchored_generation,
        plan_version=phase.plan_version,
        after_grace=phase.after_grace,
    )
    _set_time(message, phase)
    return message


def _segment_to_message(
    segment: Segment, overrides: Sequence[catalog_pb2.EntitlementGrant]
) -> catalog_pb2.Segment:
    message = _phase_to_message(segment)
    message.add_ons.extend(add_ons_to_messages(segment.add_ons))
    message.overrides.extend(overrides)
    return message


def _set_time(
    message: catalog_pb2.Segment | catalog_pb2.AddOnSpan | catalog_pb2.OverrideSpan,
    of: Phase | AddOnSpan | OverrideSpan,
) -> None:
    if of.from_us != BEGINNING_US:
        getattr(message, "from").CopyFrom(timestamp(of.from_us))  # a keyword in Python
    until = timestamp_or_none(of.until_us)
    if until is not None:
        message.until.CopyFrom(until)
