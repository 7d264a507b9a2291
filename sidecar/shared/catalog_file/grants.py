"""What plans, add-ons and overrides grant: limits and rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sidecar.domain.catalog.grant_rules import named_across_problems
from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    Across,
    Enforcement,
    EntitlementGrant,
    FeatureKind,
    Limit,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.nearest import lacks
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.shared.catalog_file import suggestions
from sidecar.shared.catalog_file.changes import ChangeBuilder, GrantSource
from sidecar.shared.catalog_file.fields import (
    UNLIMITED,
    Fields,
    entry_of,
    flag_of,
    integer_of,
    items_of,
    own_integer,
    own_text,
    table_of,
    text_of,
)
from sidecar.shared.catalog_file.kinds import ALIGNMENTS, KindBuilder
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.schema_check import told
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Scalar

WEEKDAYS: Final = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
_NOW: Final = (FeatureKind.SEATS, FeatureKind.LEVEL)
"""Kinds whose limits are of what there is now, unless they say otherwise."""
_OF_LIMITS: Final = ("limits", "rates", "overdraft", "low_balance")
"""Fields that say what is granted of a feature with limits."""
_SOME_WINDOW: Final = WindowSpec(WindowUnit.DAY)
"""Stands in for one that is wrong, which has been told."""


_EXPECTED: Final = {
    FeatureKind.METERED: f"limits, rates or {UNLIMITED}",
    FeatureKind.CREDITS: "limits: what is granted in each window",
}


class GrantBuilder:
    """Builds what is granted. `kinds` are those of the file's features, `None` for a wrong one."""

    def __init__(
        self, fields: Fields, kinds: Mapping[str, FeatureKind | None], of_kind: KindBuilder
    ) -> None:
        self._fields = fields
        self._of_kind = of_kind
        self._changes = ChangeBuilder(fields)
        self._kinds = kinds

    def grants(
        self, path: Path, node: Node, name: str, said_by: GrantSource = GrantSource.PLAN
    ) -> Iterator[tuple[EntitlementGrant, Path, Node]]:
        """Build the grants in a field, each with its path and node."""
        for feature, entry in table_of(node, name).items():
            at = (*path, name, feature)
            if feature not in self._kinds:
                self._fields.note(at, lacks("feature", feature, self._kinds), at_key=True)
            elif (grant := self._grant(at, feature, entry, said_by)) is not None:
                yield grant, at, entry

    def _grant(
        self, path: Path, feature: str, node: Node, said_by: GrantSource
    ) -> EntitlementGrant | None:
        """Build a grant as its feature's kind wants it; `None` where that is not how it is."""
        kind = self._kinds[feature]
        if kind is None:
            return None
        value = entry_of(node, "value")
        limited = any(entry_of(node, name) is not None for name in _OF_LIMITS)
        if kind.has_limits:
            if value is None and limited:
                changes = self._changes.changes(path, feature, node, said_by)
                return changes or self._limited(path, feature, node, kind)
            if own_text(node) == UNLIMITED and kind is not FeatureKind.CREDITS:
                return EntitlementGrant(feature)
            expected = _EXPECTED.get(kind, f"limits or {UNLIMITED}")
        else:
            held = node if isinstance(node, Scalar) else value
            if isinstance(held, Scalar) and not limited:
                if kind is FeatureKind.CONFIG:
                    return EntitlementGrant(feature, config_value=held.text)
                if isinstance(on := held.value(), bool):
                    return EntitlementGrant(feature, enabled=on)
            expected = "true or false" if kind is FeatureKind.BOOLEAN else "one value"
        message = f"must be {expected}, {feature} is {kind.name.lower()}"
        self._misfit(path, node, value, message, kind)
        return None

    def _misfit(
        self, path: Path, node: Node, value: Node | None, message: str, kind: FeatureKind
    ) -> None:
        """Report a grant that is not how its feature's kind wants it."""
        scalar = node if isinstance(node, Scalar) else value
        if isinstance(scalar, Scalar):
            message += f"; is {told(scalar.value())}{_meant(kind, scalar)}"
        self._fields.note(path if value is None else (*path, "value"), message)

    def _limited(self, path: Path, feature: str, node: Node, kind: FeatureKind) -> EntitlementGrant:
        limits, rates = table_of(node, "limits"), table_of(node, "rates")
        return EntitlementGrant(
            feature,
            limits=tuple(
                self._limit((*path, "limits", key), key, entry, kind)
                for key, entry in limits.items()
            ),
            rates=tuple(
                self._rate_limit((*path, "rates", key), key, entry) for key, entry in rates.items()
            ),
            overdraft=integer_of(node, "overdraft", 0),
            low_balance=tuple(
                own_integer(item) or 0 for item in items_of(node, "low_balance") or ()
            ),
        )

    def _limit(self, path: Path, key: str, node: Node, kind: FeatureKind) -> Limit:
        percents = items_of(node, "warn_at")
        throttle, rollover = entry_of(node, "throttle"), entry_of(node, "rollover")
        usual = Enforcement.HARD if throttle is None else Enforcement.THROTTLE
        limit = Limit(
            id=key,
            window=self._window(path, node, kind),
            amount=_amount(node),
            enforcement=Enforcement[text_of(node, "enforcement", usual.name).upper()],
            scope=_scope(node),
            warning_percents=(
                DEFAULT_WARNING_PERCENTS
                if percents is None
                else tuple(own_integer(item) or 0 for item in percents)
            ),
            throttle=None if throttle is None else self._rate((*path, "throttle"), throttle),
            rollover=None if rollover is None else _rollover(rollover),
            amounts=tuple(
                (value, None if own_text(entry) == UNLIMITED else own_integer(entry) or 0)
                for value, entry in table_of(node, "amounts").items()
            ),
            across=Across[text_of(node, "across", "exact").upper()],
            priority=integer_of(node, "priority", 0),
            credit_kind=GrantKind[text_of(node, "credits", "promotional").upper()],
            swaps=self._of_kind.swaps(path, node),
        )
        if limit.across is Across.EXACT and entry_of(node, "across") is not None:
            # The default, which says nothing where it is left out, and something where it is not.
            for problem in named_across_problems(limit):
                self._fields.note((*path, *problem.path), problem.message)
        return limit

    def _window(self, path: Path, node: Node, kind: FeatureKind) -> WindowSpec:
        if entry_of(node, "per") is None:
            if kind in _NOW:
                return _of_kind(WindowSpec(WindowUnit.LIFETIME), kind)
            self._fields.note((*path, "per"), "is missing")
            return _SOME_WINDOW
        alignment = ALIGNMENTS[text_of(node, "align", "calendar")]
        weekday = WEEKDAYS.index(text_of(node, "week_starts", WEEKDAYS[0]))
        window = self._fields.window(path, node, "per", alignment, weekday) or _SOME_WINDOW
        return _of_kind(window, kind)

    def _rate_limit(self, path: Path, key: str, node: Node) -> RateLimit:
        return RateLimit(
            id=key,
            rate=self._rate(path, node),
            enforcement=Enforcement[text_of(node, "enforcement", "hard").upper()],
            scope=_scope(node),
        )

    def _rate(self, path: Path, node: Node) -> Rate:
        count = integer_of(node, "count", 1)
        period_us = self._fields.duration(path, node, "per", SECOND_US)
        return Rate(count, period_us, integer_of(node, "burst", count))


def _amount(node: Node) -> int | None:
    """An amount; any where it is missing, since a limit has one."""
    return None if text_of(node, "amount") == UNLIMITED else integer_of(node, "amount", 0)


def _rollover(node: Node) -> Rollover:
    return Rollover(
        windows=integer_of(node, "windows", 1),
        amount_max=integer_of(node, "amount", None),
        percent_max=integer_of(node, "percent", None),
        while_paused=entry_of(node, "while_paused") is None or flag_of(node, "while_paused"),
    )


def _scope(node: Node) -> Scope:
    return Scope(
        dimensions=tuple(map(own_text, items_of(node, "each") or ())),
        match=tuple(
            (name, own_text(value))
            for name, entry in table_of(node, "when").items()
            for value in (entry.items if isinstance(entry, Listing) else [entry])
        ),
    )


def _meant(kind: FeatureKind, scalar: Scalar) -> str:
    """What a value may be meant to say that a feature of a kind cannot have."""
    if kind is FeatureKind.BOOLEAN:
        word = suggestions.truth(scalar.value())
        return "" if word is None else f"; did you mean {word}?"
    unlimited = suggestions.choice(scalar.value(), [UNLIMITED], {}) is not None
    if unlimited and kind.has_limits and kind is not FeatureKind.CREDITS:
        return f"; did you mean {UNLIMITED}?"
    amount = suggestions.whole_number(scalar.value())
    if not kind.has_limits or amount is None:
        return ""
    meant = "{all: {amount: %s}}" if kind in _NOW else "{monthly: {amount: %s, per: month}}"
    return f"; did you mean {{limits: {meant % amount}}}?"


def _of_kind(window: WindowSpec, kind: FeatureKind) -> WindowSpec:
    """A window of a feature's limits: of a level, for ever is what is in use now."""
    if kind is FeatureKind.LEVEL and window.unit is WindowUnit.LIFETIME:
        return WindowSpec(WindowUnit.LEVEL)
    return window
