"""Whose the fields of a company are, and what becomes of a company that a file says anew.

Rules
- Each field has one owner: the file or the API. A call that changes a field, or what is planned of
  it, makes it the API's; so is an override that has an id. All others are the file's.
- A file sets its own fields; one that it does not mention any more goes back to its default.
- What the API owns stays. Where the file does not mention it, or says the same as of now, there is
  nothing to tell; else that is a conflict, which the file wins only where it takes the field over.
- What is taken over is the file's from then on, also where both said the same. A field that is not
  in the file is taken over only by its own name.
- What the plane derived stays while files say nothing of it, or the same: a file that repeats it,
  as an export does, claims nothing, and one without it takes nothing away. It is the file's once
  the file says it otherwise, or takes it over by its own name.
- What a call took away stays the API's: a file that says it is in conflict, also after one that
  does not. What a file cannot say, or what goes with its subscription, has no owner any more.
- A subscription that is not in the file any more stays whole while the API owns anything of it.
- A company that is in no file any more stays whole while the API owns anything of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from sidecar.control.storage.values import FieldOwner, Owner, StoredCompany
from sidecar.domain.catalog.canonical import canonical_company
from sidecar.domain.catalog.value import Value
from sidecar.domain.company.field_values import (
    ANCHOR,
    OVERRIDES,
    PLAN,
    AddOnField,
    CompanyFields,
    FieldPath,
    FieldValue,
    PlanField,
)
from sidecar.domain.company.model import Company
from sidecar.domain.company.owned_fields import company_of, fields_as_of, fields_of, of_subscription
from sidecar.domain.company.timeline import phase_at

EXISTENCE: Final[FieldPath] = ()
"""Stands for the company as a whole: who created it."""
OWNERS_MAX: Final = 5_000
"""Most owners that are remembered of a company; those of fields that are gone are forgotten."""

_replace = msgspec.structs.replace


class TakeOver(msgspec.Struct, frozen=True):
    """What a file may take from the API: everything, all of some companies, or single fields."""

    everything: bool = False
    companies: frozenset[str] = frozenset()
    fields: frozenset[tuple[str, str]] = frozenset()
    """(company, text of the field's path)."""

    def names(self, company: str, path: FieldPath) -> bool:
        """Whether it names this very field."""
        return (company, path_text(path)) in self.fields

    def takes(self, company: str, path: FieldPath) -> bool:
        """Whether it takes a field about which file and API differ."""
        return self.everything or company in self.companies or self.names(company, path)


class FieldConflict(msgspec.Struct, frozen=True):
    """A field that the file says otherwise than its owner does, and that stays as it is.

    `given` and `in_force` are `None` where there is none. The path is EXISTENCE where the company
    as a whole would have been removed.
    """

    company: str
    path: FieldPath
    given: FieldValue | None
    in_force: FieldValue | None
    owner: FieldOwner


class Merged(msgspec.Struct, frozen=True):
    """A company as a file leaves it, and whose its fields are then."""

    company: Company
    owners: tuple[FieldOwner, ...] = ()
    conflicts: tuple[FieldConflict, ...] = ()


def path_text(path: FieldPath) -> str:
    """A field's path as people write it, such as `add_ons.seats`."""
    return ".".join(path)


def owners_of(stored: StoredCompany) -> dict[FieldPath, FieldOwner]:
    """Who owns what of a company; what is left out is the file's."""
    owners = {owner.path: owner for owner in stored.owners}
    for override in stored.company.overrides:
        grant = override.entitlement
        if grant.id:
            path = (OVERRIDES, grant.feature, grant.id)
            since_us = override.granted_us or stored.changed_us
            owners.setdefault(path, FieldOwner(path, Owner.API, since_us, "GrantOverride"))
    return owners


def owners_after_call(
    before: StoredCompany, after: Company, call: str, now_us: int
) -> tuple[FieldOwner, ...]:
    """Who owns what after a call of the API: what it changed is the API's, with what it planned."""
    last_reset_us = _last_reset_us(before, now_us)
    was = fields_as_of(before.company, now_us, last_reset_us)
    now = fields_as_of(after, now_us, last_reset_us)
    owners = {owner.path: owner for owner in before.owners}
    for path in {*was, *now}:
        if was.get(path) == now.get(path):
            continue
        owner = owners.get(path)
        is_own = owner is not None and owner.owner is Owner.API
        if not is_own or not _is_only_planned(was.get(path), now.get(path)):
            owners[path] = FieldOwner(path, Owner.API, now_us, call)
    return _bounded(owners, now)


def _is_only_planned(was: FieldValue | None, now: FieldValue | None) -> bool:
    """Whether a field differs by what is planned alone, and what is in force of it stays."""
    if isinstance(was, PlanField) and isinstance(now, PlanField):
        return _replace(was, planned=()) == _replace(now, planned=())
    if isinstance(was, AddOnField) and isinstance(now, AddOnField):
        return _replace(was, planned=()) == _replace(now, planned=())
    return False


def owners_of_created(company: Company, call: str, now_us: int) -> tuple[FieldOwner, ...]:
    """Who owns what of a company that a call created: all of it is the API's."""
    paths = [EXISTENCE, *sorted(fields_of(company))]
    return tuple(FieldOwner(path, Owner.API, now_us, call) for path in paths)


def kept_from_pruning(stored: StoredCompany, take_over: TakeOver) -> FieldConflict | None:
    """Why a company that is in no file stays all the same; `None` where it may go."""
    company = stored.company.id
    if take_over.takes(company, EXISTENCE):
        return None
    for path, owner in sorted(owners_of(stored).items()):
        if owner.owner is Owner.API and not take_over.names(company, path):
            return FieldConflict(company, EXISTENCE, None, None, owner)
    return None


def merged(held: StoredCompany | None, given: Company, take_over: TakeOver, now_us: int) -> Merged:
    """What becomes of a company that a file gives. `held`: what is stored of it."""
    if held is None:
        return Merged(given)
    merge = _Merge(held, given, take_over, now_us)
    merge.run()
    return merge.result()


class _Merge:
    """The fields of a company that a file gives, put beside those that it has."""

    def __init__(
        self, held: StoredCompany, given: Company, take_over: TakeOver, now_us: int
    ) -> None:
        self._held, self._given, self._take_over = held, given, take_over
        self._said, self._has = fields_of(given), fields_of(held.company)
        last_reset_us = _last_reset_us(held, now_us)
        self._said_now = fields_as_of(given, now_us, last_reset_us)
        self._has_now = fields_as_of(held.company, now_us, last_reset_us)
        self._owners = owners_of(held)
        self._fields: CompanyFields = {}
        self._conflicts: list[FieldConflict] = []

    def run(self) -> None:
        self._hold_subscription()
        for path in sorted({*self._said, *self._has, *self._owners}):
            if path == EXISTENCE:
                if self._take_over.names(self._given.id, path):
                    del self._owners[path]
                continue
            value = self._value(path, self._owners.get(path))
            if value is not None:
                self._fields[path] = value
        if PLAN in self._fields and ANCHOR not in self._fields:
            self._fields[ANCHOR] = self._has[ANCHOR]
        if PLAN not in self._fields:
            self._fields = {
                path: value for path, value in self._fields.items() if not of_subscription(path)
            }

    def result(self) -> Merged:
        owners = {path: owner for path, owner in self._owners.items() if self._lasts(path)}
        return Merged(self._company(), _bounded(owners, self._fields), tuple(self._conflicts))

    def _lasts(self, path: FieldPath) -> bool:
        """Whether there is still something to own."""
        if path == EXISTENCE or path in self._fields or path in self._said:
            return True
        return PLAN in self._fields if of_subscription(path) else path[0] != OVERRIDES

    def _company(self) -> Company:
        """As it is stored or given where it is one of these, so that nothing seems to change."""
        if self._fields == self._has:
            return self._held.company
        if self._fields == fields_of(self._given):
            return self._given
        return canonical_company(company_of(self._given.id, self._fields))

    def _value(self, path: FieldPath, owner: FieldOwner | None) -> FieldValue | None:
        """The field as it is from now on; `None` for its default."""
        said, has = self._said.get(path), self._has.get(path)
        same = is_same(self._said_now.get(path), self._has_now.get(path))
        if owner is None:
            return has if same else said
        named = self._take_over.names(self._given.id, path)
        if path not in self._said:
            if not named:
                return has
            del self._owners[path]
            return None
        of_plane = owner.owner is Owner.PLANE
        if of_plane and same and not named:
            return has
        if of_plane or self._take_over.takes(self._given.id, path):
            del self._owners[path]
            return has if same else said
        if not same:
            self._conflict(path, said, has, owner)
        return has

    def _conflict(
        self,
        path: FieldPath,
        said: FieldValue | None,
        in_force: FieldValue | None,
        owner: FieldOwner,
    ) -> None:
        self._conflicts.append(FieldConflict(self._given.id, path, said, in_force, owner))

    def _hold_subscription(self) -> None:
        """Keep a subscription that the file drops, whole, while the API owns something of it."""
        if PLAN in self._said or PLAN not in self._has:
            return
        parts = sorted(path for path in self._has if of_subscription(path))
        owners = [self._owners[path] for path in parts if path in self._owners]
        live = [owner for owner in owners if owner.owner is Owner.API]
        files = [path for path in parts if path not in self._owners]
        if not live or not files:
            return
        if self._take_over.takes(self._given.id, PLAN):
            self._owners.pop(PLAN, None)
            return
        for path in files:
            self._said[path] = self._has[path]
            if path in self._has_now:
                self._said_now[path] = self._has_now[path]
        self._conflict(PLAN, None, self._has[PLAN], self._owners.get(PLAN, live[0]))


def is_same(said: FieldValue | None, has: FieldValue | None) -> bool:
    """Whether a field is as given, which need not know versions of plans.

    A file knows no period ends either, only the instants at which they are now.
    """
    if isinstance(said, PlanField) and isinstance(has, PlanField):
        said, has = _of_any_version(said, said), _of_any_version(has, said)
    return said == has or (said == _fixed(said) and said == _fixed(has))


def _fixed(value: Any) -> Any:
    """The same with instants alone, whatever they are meant for."""
    if isinstance(value, tuple):
        return tuple(map(_fixed, value))
    if not isinstance(value, Value):
        return value
    return _replace(
        value,
        **{
            name: False if name.endswith("at_period_end") else _fixed(getattr(value, name))
            for name in value.__struct_fields__
        },
    )


def _of_any_version(field: PlanField, said: PlanField) -> PlanField:
    """Without the versions that a file leaves open, and without the seller's moves to others."""
    if all(one.plan for one in said.planned):
        field = _replace(field, planned=tuple(one for one in field.planned if one.plan))
    if len(field.planned) != len(said.planned):
        return field
    planned = tuple(
        one if told.version else _replace(one, version=0)
        for one, told in zip(field.planned, said.planned, strict=True)
    )
    return PlanField(field.plan, field.version if said.version else 0, planned)


def _last_reset_us(stored: StoredCompany, now_us: int) -> int:
    """Resets that were planned for then, or before, are done: it names the present generation."""
    return phase_at(stored.snapshot, now_us).generation


def _bounded(
    owners: Mapping[FieldPath, FieldOwner], fields: Iterable[FieldPath]
) -> tuple[FieldOwner, ...]:
    present = {EXISTENCE, *fields}
    gone = [owner for owner in owners.values() if owner.path not in present]
    gone.sort(key=lambda owner: owner.since_us)
    for owner in gone[: max(0, len(owners) - OWNERS_MAX)]:
        owners = {path: one for path, one in owners.items() if path != owner.path}
    return tuple(owners[path] for path in sorted(owners))
