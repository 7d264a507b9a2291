"""From a tree of the right shape to domain values, in the order of the file.

What the shape check refuses is cut out of the tree first, so that all other problems can still be
told. Hence nothing here minds if a field that must be there is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Final, TypeVar

from sidecar.catalog.instants import instant_of_text
from sidecar.catalog.nodes import Listing, Node, Scalar, Table
from sidecar.catalog.problems import Finding, Path
from sidecar.catalog.shape import told
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog import (
    DEFAULT_WARNING_PERCENTS,
    Catalog,
    Company,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Override,
    Plan,
    Scope,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.windows import Alignment, WindowSpec, WindowUnit

_WINDOW: Final = re.compile(r"(?:(\d+) )?([a-z]+?)s?")
_ALIGNMENTS: Final = {"calendar": Alignment.CALENDAR, "billing": Alignment.ANCHORED}
_WEEKDAYS: Final = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
_UNLIMITED: Final = "unlimited"
_D = TypeVar("_D", int, None)


def cut_out(root: Table, findings: Iterable[Finding]) -> None:
    """Remove the fields that findings are about from the tree.

    Of features, plans and companies the key stays, since others may refer to it.
    """
    for finding in findings:
        path = tuple(takewhile(lambda step: isinstance(step, str), finding.path))
        node: Node | None = root
        for step in path[:-1]:
            node = _entry(node, str(step)) if node is not None else None
        if isinstance(node, Table) and path[-1] in node.entries:
            name = str(path[-1])
            if len(path) == 2:
                node.entries[name] = Table(node.entries[name].at)
            else:
                del node.entries[name]


class Builder:
    """Builds the values of one file. `findings` grows with what is wrong with their meaning."""

    def __init__(self, root: Table) -> None:
        self.findings: list[Finding] = []
        self._root = root
        self._kinds = {key: _kind(node) for key, node in _table(root, "features").items()}

    def catalog(self) -> Catalog:
        """Build features and plans."""
        features = [
            Feature(key, kind, name=_text(node, "name"), unit=_text(node, "unit"))
            for key, node in _table(self._root, "features").items()
            if (kind := self._kinds[key]) is not None
        ]
        plans = [self._plan(key, node) for key, node in _table(self._root, "plans").items()]
        return Catalog(tuple(features), tuple(plans))

    def companies(self) -> list[Company]:
        """Build the companies."""
        table = _table(self._root, "companies")
        return [self._company(key, node) for key, node in table.items()]

    def _plan(self, key: str, node: Node) -> Plan:
        grants = self._grants(("plans", key), node, "entitlements")
        return Plan(key, _text(node, "name"), tuple(grant for grant, _, _ in grants))

    def _company(self, key: str, node: Node) -> Company:
        path = ("companies", key)
        overrides = [
            Override(grant, self._instant(at, entry, "expires_at", FOREVER_US))
            for grant, at, entry in self._grants(path, node, "overrides")
        ]
        return Company(
            id=key,
            name=_text(node, "name"),
            time_zone=_text(node, "time_zone", "UTC"),
            subscription=self._subscription(path, node),
            overrides=tuple(overrides),
        )

    def _subscription(self, path: Path, node: Node) -> Subscription | None:
        if _entry(node, "plan") is None:
            return None
        return Subscription(
            plan=_text(node, "plan"),
            anchor_us=self._instant(path, node, "anchor", 0),
            trial_ends_us=self._instant(path, node, "trial_ends_at", None),
            trial_end_status=SubscriptionStatus[_text(node, "after_trial", "ended").upper()],
            cancel_us=self._instant(path, node, "cancel_at", None),
        )

    def _grants(
        self, path: Path, node: Node, name: str
    ) -> Iterator[tuple[EntitlementGrant, Path, Node]]:
        for feature, entry in _table(node, name).items():
            at = (*path, name, feature)
            if feature not in self._kinds:
                self._find(at, f"the catalog has no feature {feature!r}", at_key=True)
            elif (grant := self._grant(at, feature, entry)) is not None:
                yield grant, at, entry

    def _grant(self, path: Path, feature: str, node: Node) -> EntitlementGrant | None:
        """Read a grant as its feature's kind wants it; `None` where that is not how it is."""
        kind = self._kinds[feature]
        if kind is None:
            return None
        limits, value = _entry(node, "limits"), _entry(node, "value")
        if kind is FeatureKind.METERED:
            if value is None and isinstance(limits, Table):
                at = (*path, "limits")
                built = [self._limit(at, key, entry) for key, entry in limits.entries.items()]
                return EntitlementGrant(feature, limits=tuple(built))
            if isinstance(node, Scalar) and node.text == _UNLIMITED:
                return EntitlementGrant(feature)
            self._misfit(path, node, value, f"must be limits or {_UNLIMITED}, {feature} is metered")
            return None
        held = node if isinstance(node, Scalar) else value
        if isinstance(held, Scalar) and limits is None:
            if kind is FeatureKind.CONFIG:
                return EntitlementGrant(feature, config_value=held.text)
            if isinstance(on := held.value(), bool):
                return EntitlementGrant(feature, enabled=on)
        expected = "true or false" if kind is FeatureKind.BOOLEAN else "one value"
        message = f"must be {expected}, {feature} is {kind.name.lower()}"
        self._misfit(path, node, value, message)
        return None

    def _misfit(self, path: Path, node: Node, value: Node | None, message: str) -> None:
        """Report a grant that is not how its feature's kind wants it."""
        scalar = node if isinstance(node, Scalar) else value
        if isinstance(scalar, Scalar):
            message += f"; is {told(scalar.value())}"
        self._find(path if value is None else (*path, "value"), message)

    def _limit(self, path: Path, key: str, node: Node) -> Limit:
        at = (*path, key)
        percents = _entry(node, "warn_at")
        return Limit(
            id=key,
            window=self._window(at, node),
            amount=_amount(node),
            enforcement=Enforcement[_text(node, "enforcement", "hard").upper()],
            scope=_scope(node),
            warning_percents=(
                tuple(_integer(item) or 0 for item in percents.items)
                if isinstance(percents, Listing)
                else DEFAULT_WARNING_PERCENTS
            ),
        )

    def _window(self, path: Path, node: Node) -> WindowSpec:
        per = _entry(node, "per")
        if isinstance(per, Table):
            interval, unit = _integer(per.entries.get("interval")) or 1, _text(per, "unit")
        else:
            found = _WINDOW.fullmatch(_text(node, "per"))
            interval, unit = (int(found[1] or 1), found[2]) if found else (1, "")
        if not unit:
            return WindowSpec(WindowUnit.LIFETIME)
        week_starts = _text(node, "week_starts", _WEEKDAYS[0])
        try:
            return WindowSpec(
                WindowUnit[unit.upper()],
                interval,
                _ALIGNMENTS[_text(node, "align", "calendar")],
                _WEEKDAYS.index(week_starts),
            )
        except ValueError as error:
            self._find((*path, "per"), str(error))
            return WindowSpec(WindowUnit.LIFETIME)

    def _instant(self, path: Path, node: Node, name: str, default: _D) -> int | _D:
        """Read an instant; the default where there is none, or where it is wrong."""
        entry = _entry(node, name)
        if entry is None:
            return default
        try:
            return instant_of_text(_own_text(entry))
        except ValueError as error:
            self._find((*path, name), str(error))
            return default

    def _find(self, path: Path, message: str, *, at_key: bool = False) -> None:
        self.findings.append(Finding(path, message, at_key))


def _entry(node: Node, name: str) -> Node | None:
    return node.entries.get(name) if isinstance(node, Table) else None


def _table(node: Node, name: str) -> dict[str, Node]:
    """Return the entries of a mapping; none where it is missing or empty."""
    entry = _entry(node, name)
    return entry.entries if isinstance(entry, Table) else {}


def _own_text(node: Node) -> str:
    return node.text if isinstance(node, Scalar) else ""


def _text(node: Node, name: str, default: str = "") -> str:
    entry = _entry(node, name)
    return entry.text if isinstance(entry, Scalar) else default


def _kind(node: Node) -> FeatureKind | None:
    kind = _text(node, "kind")
    return FeatureKind[kind.upper()] if kind else None


def _scope(node: Node) -> Scope:
    each = _entry(node, "each")
    match = _table(node, "when").items()
    return Scope(
        dimensions=tuple(map(_own_text, each.items)) if isinstance(each, Listing) else (),
        match=tuple((name, _own_text(entry)) for name, entry in match),
    )


def _amount(node: Node) -> int | None:
    entry = _entry(node, "amount")
    text = _own_text(entry) if entry is not None else ""
    return int(text.replace("_", "")) if "_" in text else _integer(entry)


def _integer(node: Node | None) -> int | None:
    value = node.value() if isinstance(node, Scalar) else None
    return value if isinstance(value, int) else None
