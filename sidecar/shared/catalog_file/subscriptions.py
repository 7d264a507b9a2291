"""What a company has bought, and what is planned with it."""

from __future__ import annotations

from sidecar.domain.company.model import (
    MONTHLY,
    AddOnSubscription,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.windows import Alignment
from sidecar.shared.catalog_file.fields import (
    Fields,
    entry_of,
    flag_of,
    integer_of,
    items_of,
    own_integer,
    plan_that_follows,
    table_of,
    text_of,
)
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.yaml_tree import Node


class SubscriptionBuilder:
    """Builds subscriptions of companies."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def subscription(self, path: Path, node: Node) -> Subscription | None:
        """Build the subscription of a company; `None` where it has none."""
        if entry_of(node, "plan") is None:
            return None
        instant = self._fields.instant
        end_plan = plan_that_follows(node, "after_trial")
        status = "active" if end_plan else text_of(node, "after_trial", "ended")
        period = self._fields.window(path, node, "billing_period", Alignment.ANCHORED)
        changes = enumerate(items_of(node, "changes") or ())
        return Subscription(
            plan=text_of(node, "plan"),
            anchor_us=instant(path, node, "anchor", None),
            trial_ends_us=instant(path, node, "trial_ends_at", None),
            trial_end_status=SubscriptionStatus[status.upper()],
            cancel_us=instant(path, node, "cancel_at", None),
            add_ons=_bought(node),
            ends_us=instant(path, node, "ends_at", None),
            past_due=self._past_due((*path, "past_due"), entry_of(node, "past_due")),
            pause=self._pause((*path, "pause"), entry_of(node, "pause")),
            changes=tuple(self._change((*path, "changes", at), item) for at, item in changes),
            billing_period=period or MONTHLY,
            plan_version=integer_of(node, "plan_version", 0),
            trial_end_plan=end_plan,
        )

    def _past_due(self, path: Path, node: Node | None) -> PastDue | None:
        if node is None:
            return None
        return PastDue(
            from_us=self._fields.instant(path, node, "since", 0),
            grace_ends_us=self._fields.instant(path, node, "grace_ends_at", None),
            grace_end_plan=plan_that_follows(node, "then"),
        )

    def _pause(self, path: Path, node: Node | None) -> Pause | None:
        if node is None:
            return None
        until_us = self._fields.instant(path, node, "resumes_at", None)
        told = until_us is None and entry_of(node, "resumes_at") is not None
        return Pause(
            from_us=self._fields.instant(path, node, "starts_at", 0),
            until_us=until_us,
            moves_anchor=flag_of(node, "moves_anchor") and not told,  # it would lack an end
        )

    def _change(self, path: Path, node: Node) -> ScheduledChange:
        return ScheduledChange(
            at_us=self._fields.instant(path, node, "at", 0),
            plan=text_of(node, "plan"),
            add_ons=None if entry_of(node, "add_ons") is None else _bought(node),
            resets_usage=flag_of(node, "resets_usage"),
            moves_anchor=flag_of(node, "moves_anchor"),
            plan_version=integer_of(node, "plan_version", 0),
        )


def _bought(node: Node) -> tuple[AddOnSubscription, ...]:
    held = table_of(node, "add_ons").items()
    return tuple(AddOnSubscription(key, own_integer(entry) or 0) for key, entry in held)
