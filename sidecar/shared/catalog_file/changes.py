"""What add-ons and overrides change of limits and rates that are granted already, by name."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from sidecar.domain.catalog.kinds import OverdraftChange
from sidecar.domain.catalog.model import EntitlementGrant, LimitChange, RateChange
from sidecar.shared.catalog_file.fields import (
    UNLIMITED,
    Fields,
    entry_of,
    flag_of,
    integer_of,
    own_integer,
    own_text,
    table_of,
)
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.yaml_tree import Node, Scalar, Table

_OWN: Final = {"limits": ("amount",), "rates": ("count", "burst")}
"""Fields that a change has; all others are those of the limit that it names."""


class GrantSource(enum.Enum):
    """What grants: a plan grants whole limits, the others may change some."""

    PLAN = enum.auto()
    ADD_ON = enum.auto()
    OVERRIDE = enum.auto()


class ChangeBuilder:
    """Builds changes."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def changes(
        self, path: Path, feature: str, node: Node, said_by: GrantSource
    ) -> EntitlementGrant | None:
        """Build the changes in a grant; `None` where it has whole limits and rates of its own.

        In an add-on an amount without a sign goes on top of what there is, too.
        """
        entries, overdraft = list(_entries(node)), entry_of(node, "overdraft")
        if said_by is GrantSource.PLAN:
            return None
        if (entries or overdraft is None) and all(_is_whole(entry) for _, _, entry in entries):
            if said_by is GrantSource.OVERRIDE and entries and not flag_of(node, "replace"):
                section, name, _ = entries[0]
                self._fields.note((*path, section, name), _replaces(feature))
            return None
        if flag_of(node, "replace"):
            message = "needs whole limits, with their per: what has none changes what is granted"
            self._fields.note((*path, "replace"), message)
        if entry_of(node, "low_balance") is not None:
            message = "needs whole limits, with their per: what has none changes what is granted"
            self._fields.note((*path, "low_balance"), message)
        always_adds = said_by is GrantSource.ADD_ON
        for section, name, entry in entries:
            self._check(path, section, name, entry, mixed=_is_whole(entry))
        return EntitlementGrant(
            feature,
            limit_changes=tuple(
                _limit_change(name, entry, always_adds)
                for name, entry in table_of(node, "limits").items()
                if not _is_whole(entry)
            ),
            rate_changes=tuple(
                _rate_change(name, entry, always_adds)
                for name, entry in table_of(node, "rates").items()
                if not _is_whole(entry)
            ),
            overdraft_change=None
            if overdraft is None
            else OverdraftChange(own_integer(overdraft) or 0, always_adds or _has_sign(overdraft)),
        )

    def _check(self, path: Path, section: str, name: str, entry: Node, *, mixed: bool) -> None:
        what = section[:-1]
        if mixed:
            message = (
                f"is a whole {what}, with its per, beside others that change what is granted: "
                "write all of them with per, or none"
            )
            self._fields.note((*path, section, name, "per"), message)
            return
        if isinstance(entry, Table):
            for field in entry.entries:
                if field not in _OWN[section]:
                    message = (
                        f"needs per: without it this changes the {what} {name!r} that is granted "
                        "already, and leaves the rest of it as it is"
                    )
                    self._fields.note((*path, section, name, field), message)
                    return


def _replaces(feature: str) -> str:
    return (
        f"with its per it would take the place of all that is granted of {feature}: say so with "
        "replace: true, or leave out per to change the limit of that name and nothing else"
    )


def _entries(node: Node) -> Iterator[tuple[str, str, Node]]:
    for section in _OWN:
        for name, entry in table_of(node, section).items():
            yield section, name, entry


def _is_whole(entry: Node) -> bool:
    return entry_of(entry, "per") is not None


def _limit_change(name: str, entry: Node, always_adds: bool) -> LimitChange:
    amount = entry if isinstance(entry, Scalar) else entry_of(entry, "amount")
    if own_text(amount) == UNLIMITED:
        return LimitChange(name, None, always_adds)
    return LimitChange(name, own_integer(amount) or 0, always_adds or _has_sign(amount))


def _rate_change(name: str, entry: Node, always_adds: bool) -> RateChange:
    count = integer_of(entry, "count", 1)
    adds = always_adds or _has_sign(entry_of(entry, "count"))
    return RateChange(name, count, integer_of(entry, "burst", count), adds)


def _has_sign(node: Node | None) -> bool:
    return own_text(node).startswith("+")
