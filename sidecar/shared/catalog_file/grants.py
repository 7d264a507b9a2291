"""What plans, add-ons and overrides grant: limits and rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    Enforcement,
    EntitlementGrant,
    FeatureKind,
    Limit,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.nearest import lacks
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
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
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.schema_check import told
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Scalar

_ALIGNMENTS: Final = {"calendar": Alignment.CALENDAR, "billing": Alignment.ANCHORED}
WEEKDAYS: Final = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
_SOME_WINDOW: Final = WindowSpec(WindowUnit.DAY)
"""Stands in for one that is wrong, which has been told."""


class GrantBuilder:
    """Builds what is granted. `kinds` are those of the file's features, `None` for a wrong one."""

    def __init__(self, fields: Fields, kinds: Mapping[str, FeatureKind | None]) -> None:
        self._fields = fields
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
        metered = entry_of(node, "limits") is not None or entry_of(node, "rates") is not None
        if kind is FeatureKind.METERED:
            if value is None and metered:
                changes = self._changes.changes(path, feature, node, said_by)
                return changes or self._metered(path, feature, node)
            if own_text(node) == UNLIMITED:
                return EntitlementGrant(feature)
            expected = f"limits, rates or {UNLIMITED}"
        else:
            held = node if isinstance(node, Scalar) else value
            if isinstance(held, Scalar) and not metered:
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

    def _metered(self, path: Path, feature: str, node: Node) -> EntitlementGrant:
        limits, rates = table_of(node, "limits"), table_of(node, "rates")
        return EntitlementGrant(
            feature,
            limits=tuple(
                self._limit((*path, "limits", key), key, entry) for key, entry in limits.items()
            ),
            rates=tuple(
                self._rate_limit((*path, "rates", key), key, entry) for key, entry in rates.items()
            ),
        )

    def _limit(self, path: Path, key: str, node: Node) -> Limit:
        percents = items_of(node, "warn_at")
        throttle, rollover = entry_of(node, "throttle"), entry_of(node, "rollover")
        usual = Enforcement.HARD if throttle is None else Enforcement.THROTTLE
        return Limit(
            id=key,
            window=self._window(path, node),
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
        )

    def _window(self, path: Path, node: Node) -> WindowSpec:
        alignment = _ALIGNMENTS[text_of(node, "align", "calendar")]
        weekday = WEEKDAYS.index(text_of(node, "week_starts", WEEKDAYS[0]))
        return self._fields.window(path, node, "per", alignment, weekday) or _SOME_WINDOW

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
    if kind is FeatureKind.METERED and suggestions.choice(scalar.value(), [UNLIMITED], {}):
        return f"; did you mean {UNLIMITED}?"
    amount = suggestions.whole_number(scalar.value())
    if kind is FeatureKind.METERED and amount is not None:
        return f"; did you mean {{limits: {{monthly: {{amount: {amount}, per: month}}}}}}?"
    return ""
