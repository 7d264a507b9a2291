"""A company taken apart into fields that change hands one by one, and put together again.

A field is what one person decides at a time, with all that is planned of it: the plan with its
planned changes, one add-on with its planned quantities, one override. It is named by a path of the
words of the catalog file: `("plan",)`, `("add_ons", "seats")`, `("overrides", "tokens", id)`. One
that is at its default is left out.

Rules
- `company_of` of `fields_of` means what the company meant; where it says the same in another way,
  the fields are equal, and so is what they are put together to.
- What is planned for one instant is one change, whoever planned its parts; what is planned for the
  end of a period that ends then is a change of its own.
- A planned list of add-ons is as many plans as there are add-ons that change by it: an add-on that
  somebody else plans goes on as that one says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from sidecar.domain.company.field_values import (
    ADD_ONS,
    ANCHOR,
    BILLING_PERIOD,
    CANCEL_AT,
    ENDS_AT,
    NAME,
    OVERRIDES,
    PAST_DUE,
    PAUSE,
    PLAN,
    RESETS_USAGE,
    TIME_ZONE,
    TRIAL,
    AddOnField,
    AnchorField,
    CancelField,
    CompanyFields,
    FieldPath,
    FieldValue,
    PlanField,
    PlannedInstant,
    PlannedPlan,
    PlannedQuantity,
    ResetsField,
    TrialField,
)
from sidecar.domain.company.model import (
    MONTHLY,
    AddOnSubscription,
    Company,
    Pause,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.subscription_lifecycle import settled

_OF_NO_SUBSCRIPTION: Final = (NAME, TIME_ZONE)

_replace = msgspec.structs.replace


def fields_of(company: Company) -> CompanyFields:
    """The fields of a canonical company that are not at their defaults."""
    fields: CompanyFields = {}
    if company.name:
        fields[NAME] = company.name
    if company.time_zone != "UTC":
        fields[TIME_ZONE] = company.time_zone
    if company.subscription is not None:
        fields.update(_subscription_fields(company.subscription))
    for override in company.overrides:
        grant = override.entitlement
        path = (OVERRIDES, grant.feature, grant.id) if grant.id else (OVERRIDES, grant.feature)
        fields[path] = override
    return fields


def fields_as_of(company: Company, now_us: int, last_reset_us: int) -> CompanyFields:
    """The same, told as of now: what is past and has no effect any more makes no difference.

    `last_reset_us`: resets up to then are done, those after it are to come or still to be done.
    """
    subscription = company.subscription
    if subscription is None:
        return fields_of(company)
    as_of_now = settled(subscription, now_us, company.time_zone)
    fields = fields_of(_replace(company, subscription=as_of_now))
    fields.pop(RESETS_USAGE, None)
    resets = [reset for reset in _resets(subscription) if reset.at_us > last_reset_us]
    if resets:
        fields[RESETS_USAGE] = ResetsField(tuple(resets))
    return fields


def of_subscription(path: FieldPath) -> bool:
    """Whether a field is there only with a subscription."""
    return path not in _OF_NO_SUBSCRIPTION and path[0] != OVERRIDES


def company_of(company_id: str, fields: Mapping[FieldPath, Any]) -> Company:
    """The company that has these fields; a subscription needs a plan and an anchor."""
    overrides = [fields[path] for path in sorted(fields) if path[0] == OVERRIDES]
    return Company(
        id=company_id,
        name=fields.get(NAME, ""),
        time_zone=fields.get(TIME_ZONE, "UTC"),
        subscription=_subscription_of(fields) if PLAN in fields else None,
        overrides=tuple(overrides),
    )


def _subscription_fields(subscription: Subscription) -> Iterator[tuple[FieldPath, FieldValue]]:
    planned = tuple(
        PlannedPlan(_when(change), change.plan, change.plan_version)
        for change in subscription.changes
        if change.plan or change.plan_version
    )
    yield PLAN, PlanField(subscription.plan, subscription.plan_version, planned)
    anchor_us, moves = subscription.anchor_us, tuple(_anchor_moves(subscription))
    if anchor_us is not None or moves:
        yield ANCHOR, AnchorField(anchor_us, moves)
    if subscription.billing_period != MONTHLY:
        yield BILLING_PERIOD, subscription.billing_period
    if subscription.trial_ends_us is not None:
        yield (
            TRIAL,
            TrialField(
                subscription.trial_ends_us,
                subscription.trial_end_status,
                subscription.trial_end_plan,
            ),
        )
    if subscription.cancel_us is not None:
        yield CANCEL_AT, CancelField(subscription.cancel_us, subscription.cancel_at_period_end)
    if subscription.ends_us is not None:
        yield ENDS_AT, subscription.ends_us
    if subscription.past_due is not None:
        yield PAST_DUE, subscription.past_due
    if subscription.pause is not None:
        yield PAUSE, _replace(subscription.pause, moves_anchor=False)
    resets = tuple(_resets(subscription))
    if resets:
        yield RESETS_USAGE, ResetsField(resets)
    for add_on, field in _add_on_fields(subscription).items():
        yield (ADD_ONS, add_on), field


def _when(change: ScheduledChange) -> PlannedInstant:
    return PlannedInstant(change.at_us, change.at_period_end)


def _resets(subscription: Subscription) -> Iterator[PlannedInstant]:
    for change in subscription.changes:
        if change.resets_usage:
            yield _when(change)


def _anchor_moves(subscription: Subscription) -> list[PlannedInstant]:
    moves = {_when(change) for change in subscription.changes if change.moves_anchor}
    pause = subscription.pause
    if pause is not None and pause.moves_anchor and pause.until_us is not None:
        moves.add(PlannedInstant(pause.until_us, pause.ends_at_period_end))
    return sorted(moves)


def _add_on_fields(subscription: Subscription) -> dict[str, AddOnField]:
    held = {one.add_on: one.quantity for one in subscription.add_ons}
    first = dict(held)
    planned: defaultdict[str, list[PlannedQuantity]] = defaultdict(list)
    for change in subscription.changes:
        if change.add_ons is None:
            continue
        then = {one.add_on: one.quantity for one in change.add_ons}
        for add_on in sorted({*held, *then}):
            quantity = then.get(add_on, 0)
            if quantity != held.get(add_on, 0):
                planned[add_on].append(PlannedQuantity(_when(change), quantity))
        held = then
    return {
        add_on: AddOnField(first.get(add_on, 0), tuple(planned[add_on]))
        for add_on in sorted({*first, *planned})
    }


def _subscription_of(fields: Mapping[FieldPath, Any]) -> Subscription:
    plan: PlanField = fields[PLAN]
    anchor: AnchorField = fields[ANCHOR]
    trial: TrialField | None = fields.get(TRIAL)
    cancel: CancelField | None = fields.get(CANCEL_AT)
    add_ons = {path[1]: fields[path] for path in sorted(fields) if path[0] == ADD_ONS}
    pause, moves = _pause_of(fields.get(PAUSE), anchor.moves)
    subscription = Subscription(
        plan=plan.plan,
        anchor_us=anchor.anchor_us,
        cancel_us=None if cancel is None else cancel.cancel_us,
        add_ons=_held({key: field.quantity for key, field in add_ons.items()}),
        ends_us=fields.get(ENDS_AT),
        past_due=fields.get(PAST_DUE),
        pause=pause,
        changes=tuple(_changes_of(plan, add_ons, moves, fields.get(RESETS_USAGE))),
        billing_period=fields.get(BILLING_PERIOD, MONTHLY),
        plan_version=plan.version,
        cancel_at_period_end=cancel is not None and cancel.at_period_end,
    )
    if trial is None:
        return subscription
    return _replace(
        subscription,
        trial_ends_us=trial.ends_us,
        trial_end_status=trial.end_status,
        trial_end_plan=trial.end_plan,
    )


def _pause_of(
    pause: Pause | None, moves: tuple[PlannedInstant, ...]
) -> tuple[Pause | None, tuple[PlannedInstant, ...]]:
    """The pause, with the anchor's move at its end if there is one; and the other moves."""
    if pause is None or pause.until_us is None:
        return pause, moves
    end = PlannedInstant(pause.until_us, pause.ends_at_period_end)
    if end not in moves:
        return pause, moves
    return _replace(pause, moves_anchor=True), tuple(move for move in moves if move != end)


def _changes_of(
    plan: PlanField,
    add_ons: Mapping[str, AddOnField],
    moves: Iterable[PlannedInstant],
    resets: ResetsField | None,
) -> Iterator[ScheduledChange]:
    plans = {one.when: one for one in plan.planned}
    quantities: defaultdict[PlannedInstant, dict[str, int]] = defaultdict(dict)
    for add_on, field in add_ons.items():
        for one in field.planned:
            quantities[one.when][add_on] = one.quantity
    reset = set() if resets is None else set(resets.resets)
    moved = set(moves)
    held = {add_on: field.quantity for add_on, field in add_ons.items()}
    for when in sorted({*plans, *quantities, *moved, *reset}):
        held |= quantities.get(when, {})
        yield ScheduledChange(
            when.at_us,
            plan=plans[when].plan if when in plans else "",
            add_ons=_held(held) if when in quantities else None,
            resets_usage=when in reset,
            moves_anchor=when in moved,
            plan_version=plans[when].version if when in plans else 0,
            at_period_end=when.at_period_end,
        )


def _held(quantities: Mapping[str, int]) -> tuple[AddOnSubscription, ...]:
    return tuple(
        AddOnSubscription(key, quantities[key]) for key in sorted(quantities) if quantities[key]
    )
