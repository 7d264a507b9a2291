"""What changed between two states of catalog and companies, in words for people."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import msgspec

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import Company
from sidecar.domain.difference.fields import (
    Fields,
    add_on_fields,
    company_fields,
    feature_fields,
    plan_fields,
)


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


Value = TypeVar("Value")
Keyed = TypeVar("Keyed", bound=_Keyed)


class ChangeAction(enum.IntEnum):
    """Kind of a change. Numbers as in the API."""

    CREATED = 1
    UPDATED = 2
    REMOVED = 3


class FieldChange(msgspec.Struct, frozen=True):
    """One field: its text before and after, `None` where it was or is absent.

    Its path is as `fields` writes it.
    """

    path: str
    before: str | None
    after: str | None


class Change(msgspec.Struct, frozen=True):
    """One object. `kind` is feature, plan, add_on or company, or catalog for its default plan.

    `fields` is for UPDATED, and empty where nothing but an order changed; of a company that is
    CREATED they are what it did not say. `existing`: what becomes of the companies that have a plan
    whose version is new, or an add-on that changes, and how many they are.
    """

    kind: str
    key: str
    action: ChangeAction
    fields: tuple[FieldChange, ...] = ()
    existing: tuple[ExistingCompanies, int] | None = None


def catalog_changes(before: Catalog, after: Catalog) -> list[Change]:
    """Changes of features, plans and add-ons, each in the order of their keys; then of the rest."""
    return [
        *_object_changes("feature", before.features, after.features, feature_fields),
        *_object_changes("plan", before.plans, after.plans, plan_fields),
        *_object_changes("add_on", before.add_ons, after.add_ons, add_on_fields),
        *_default_plan_changes(before.default_plan, after.default_plan),
    ]


def company_change(before: Company | None, after: Company | None) -> Change | None:
    """The change of a company, either state of which may be missing; `None` for no change."""
    company = after or before
    if company is None:
        return None
    return _change("company", company.id, before, after, company_fields)


def created_change(said: Company, filled: Company) -> Change:
    """The change of a company that is new, and what was filled in where it said nothing."""
    told = dict(company_fields(said))
    fields = tuple(
        FieldChange(path, None, text) for path, text in company_fields(filled) if path not in told
    )
    return Change("company", filled.id, ChangeAction.CREATED, fields)


def _default_plan_changes(before: str, after: str) -> Iterator[Change]:
    if before != after:
        field = FieldChange("plan", before or None, after or None)
        yield Change("catalog", "default_plan", ChangeAction.UPDATED, (field,))


def _object_changes(
    kind: str,
    before: Iterable[Keyed],
    after: Iterable[Keyed],
    fields_of: Callable[[Keyed], Fields],
) -> Iterator[Change]:
    by_key_before = {value.key: value for value in before}
    by_key_after = {value.key: value for value in after}
    for key in sorted({*by_key_before, *by_key_after}):
        change = _change(kind, key, by_key_before.get(key), by_key_after.get(key), fields_of)
        if change is not None:
            yield change


def _change(
    kind: str,
    key: str,
    before: Value | None,
    after: Value | None,
    fields_of: Callable[[Value], Fields],
) -> Change | None:
    if before == after:
        return None
    if before is None:
        return Change(kind, key, ChangeAction.CREATED)
    if after is None:
        return Change(kind, key, ChangeAction.REMOVED)
    fields = _field_changes(dict(fields_of(before)), dict(fields_of(after)))
    return Change(kind, key, ChangeAction.UPDATED, fields)


def _field_changes(before: dict[str, str], after: dict[str, str]) -> tuple[FieldChange, ...]:
    paths = dict.fromkeys([*before, *after])
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    )
