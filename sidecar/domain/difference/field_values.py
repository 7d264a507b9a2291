"""The value of a company's field as one text for people, with what is planned of it."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.company.field_values import (
    AddOnField,
    AnchorField,
    CancelField,
    FieldValue,
    PlanField,
    PlannedInstant,
    PlannedPlan,
    ResetsField,
    TrialField,
)
from sidecar.domain.company.model import Override, PastDue, Pause
from sidecar.domain.difference.fields import grant_fields
from sidecar.domain.formatting import instant_text, period_text
from sidecar.domain.time.windows import WindowSpec


def value_text(value: FieldValue) -> str:
    """A field's value, such as `pro, then max at 2027-01-31T00:00:00Z`."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return instant_text(value)
    if isinstance(value, WindowSpec):
        return period_text(value)
    if isinstance(value, Override):
        return ", ".join(_override(value))
    return ", ".join(_subscription_parts(value))


def _subscription_parts(value: FieldValue) -> Iterator[str]:
    match value:
        case PlanField(plan, version, planned):
            yield f"{plan} (version {version})" if version else plan
            yield from (f"then {one.plan or _version(one)} {_at(one.when)}" for one in planned)
        case AddOnField(quantity, planned):
            yield str(quantity)
            yield from (f"then {one.quantity} {_at(one.when)}" for one in planned)
        case AnchorField(anchor_us, moves):
            yield "the start" if anchor_us is None else instant_text(anchor_us)
            yield from (f"then anew {_at(move)}" for move in moves)
        case ResetsField(resets):
            yield from map(_at, resets)
        case CancelField(cancel_us, at_period_end):
            yield _at(PlannedInstant(cancel_us, at_period_end))
        case TrialField():
            yield from _trial(value)
        case PastDue():
            yield from _past_due(value)
        case Pause(from_us, until_us):
            yield f"from {instant_text(from_us)}"
            yield "without end" if until_us is None else f"until {instant_text(until_us)}"


def _trial(trial: TrialField) -> Iterator[str]:
    yield f"until {instant_text(trial.ends_us)}"
    yield f"then {trial.end_plan or trial.end_status.name.lower()}"


def _past_due(past_due: PastDue) -> Iterator[str]:
    yield f"since {instant_text(past_due.from_us)}"
    if past_due.grace_ends_us is not None:
        yield f"grace until {instant_text(past_due.grace_ends_us)}"
    if past_due.grace_end_plan:
        yield f"then {past_due.grace_end_plan}"


def _override(override: Override) -> Iterator[str]:
    for path, text in grant_fields("", override.entitlement):
        yield f"{path.removeprefix('.')} {text}"
    if override.expires_us != FOREVER_US:
        yield f"until {instant_text(override.expires_us)}"


def _version(planned: PlannedPlan) -> str:
    return f"version {planned.version}"


def _at(when: PlannedInstant) -> str:
    instant = instant_text(when.at_us)
    return f"at the period end ({instant})" if when.at_period_end else f"at {instant}"
