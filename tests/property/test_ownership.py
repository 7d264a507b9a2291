"""Whatever a file and calls of the API do to a company, neither takes away what the other did."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.rules.ownership import TakeOver, merged, owners_after_call
from sidecar.control.services.timelines import with_timeline
from sidecar.control.storage.values import FieldOwner, StoredCompany
from sidecar.domain.catalog.canonical import canonical_company
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.field_values import CancelField, CompanyFields, PlannedInstant
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Pause,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.owned_fields import company_of, fields_as_of, fields_of
from sidecar.domain.company.rules import company_problems
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    MarkPaid,
    MarkPastDue,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.entitlement.proration import Prorating
from sidecar.domain.errors import FieldError
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.support.strategies import companies

INSTANTS: Final = st.integers(0, 60).map(lambda number: NOW_US + number * DAY_US)
COMPANIES: Final = (
    companies(INSTANTS)
    .map(canonical_company)
    .filter(lambda company: not list(company_problems(company)))
)
CHANGES: Final[st.SearchStrategy[SubscriptionChange]] = st.sampled_from(
    [
        ChangePlan("max"),
        ChangePlan("basic", resets_usage=True, moves_anchor=True),
        SetAddOn("gb", 2),
        SetAddOn("gb", 0),
        SetAddOn("seats", 5),
        PauseSubscription(),
        PauseSubscription(NOW_US + 90 * DAY_US, moves_anchor=True),
        ResumeSubscription(moves_anchor=True),
        CancelSubscription(),
        RenewSubscription(NOW_US + 99 * DAY_US),
        MarkPastDue(),
        MarkPaid(),
        ResetUsage(),
        DropPlannedChanges(),
    ]
)
WHEN: Final = st.sampled_from([NOW, PERIOD_END])


class World:
    """A company at the plane and the file that was applied last."""

    def __init__(self, file: Company) -> None:
        self.now_us = NOW_US
        self.file = file
        self.stored = StoredCompany(file, compile_snapshot(file, 1), NOW_US)

    def fields(self, company: Company) -> CompanyFields:
        last_reset_us = self.stored.snapshot.phases[-1].generation
        return fields_as_of(company, self.now_us, last_reset_us)

    def apply(self, file: Company, take_over: TakeOver | None = None) -> int:
        """Apply a file as the plane does; tells how many conflicts there were."""
        done = merged(self.stored, file, take_over or TakeOver(), self.now_us)
        assert list(company_problems(done.company)) == []
        self.file = file
        if done.company == self.stored.company:
            self.stored = msgspec.structs.replace(self.stored, owners=done.owners)
        else:
            self.store(done.company, done.owners)
        return len(done.conflicts)

    def call(self, change: SubscriptionChange, when: When) -> None:
        company = self.stored.company
        if company.subscription is None:
            return
        try:
            done = apply_change(
                company.subscription,
                change,
                when,
                self.now_us,
                company.time_zone,
                OnPlanned.KEEP,
            )
        except FieldError:
            return
        after = canonical_company(msgspec.structs.replace(company, subscription=done.subscription))
        if list(company_problems(after)):
            return
        self.store(
            after, owners_after_call(self.stored, after, "C", self.now_us), resets=done.resets_usage
        )

    def store(
        self, company: Company, owners: tuple[FieldOwner, ...], *, resets: bool = False
    ) -> None:
        version = self.stored.snapshot.version + 1
        self.stored = with_timeline(
            company,
            version,
            self.now_us,
            self.stored,
            Prorating(Catalog()),
            resets_usage=resets,
            owners=owners,
        )


@st.composite
def similar(draw: st.DrawFn, company: Company) -> Company:
    """A company that differs from another in some of its fields."""
    fields, other = fields_of(company), fields_of(draw(COMPANIES))
    paths = sorted({*fields, *other})
    taken = {path for path in paths if draw(st.booleans())}
    mixed = {
        path: (other if path in taken else fields)[path]
        for path in paths
        if path in (other if path in taken else fields)
    }
    if (("plan",) in mixed) != (("anchor",) in mixed):
        return company
    found = canonical_company(company_of(company.id, mixed))
    return company if list(company_problems(found)) else found


def meant(value: Any) -> Any:
    """A field's value without the instants of what follows the end of a billing period."""
    match value:
        case PlannedInstant(at_period_end=True):
            return "period end"
        case CancelField(at_period_end=True):
            return "period end"
        case Pause():
            from_us = "period end" if value.starts_at_period_end else value.from_us
            return from_us, "period end" if value.ends_at_period_end else value.until_us
        case tuple():
            return sorted(map(meant, value), key=repr)  # what waits changes its place, too
        case msgspec.Struct():
            return tuple(meant(getattr(value, name)) for name in value.__struct_fields__)
    return value


@given(COMPANIES)
@settings(deadline=None)
def test_a_company_that_is_put_together_again_means_what_it_meant(company: Company) -> None:
    again = canonical_company(company_of(company.id, fields_of(company)))
    assert fields_of(company) == fields_of(again)
    assert list(segments_of(compile_snapshot(company, 1))) == list(
        segments_of(compile_snapshot(again, 1))
    )


@given(st.data())
@settings(deadline=None)
def test_what_calls_changed_survives_every_apply_and_the_rest_is_as_the_file_says(
    data: st.DataObject,
) -> None:
    world = World(data.draw(COMPANIES))
    for _ in range(data.draw(st.integers(1, 6))):
        world.now_us += data.draw(st.integers(0, 9)) * DAY_US
        for _ in range(data.draw(st.integers(0, 3))):
            world.call(data.draw(CHANGES), data.draw(WHEN))
        before, owned = world.fields(world.stored.company), world.stored.owners
        file = data.draw(similar(world.file))
        world.apply(file)
        after, said = world.fields(world.stored.company), world.fields(file)
        live = {owner.path for owner in owned}
        held = {path for path in live if path in before and path[0] not in ("name", "time_zone")}
        assert [meant(before[path]) for path in held] == [meant(after.get(path)) for path in held]
        if ("plan",) in said or ("plan",) not in after:
            assert {path: said[path] for path in said if path not in live} == {
                path: after[path] for path in after if path not in live
            }


@given(st.data())
@settings(deadline=None)
def test_applied_twice_changes_nothing_the_second_time(data: st.DataObject) -> None:
    world = World(data.draw(COMPANIES))
    for _ in range(data.draw(st.integers(0, 4))):
        world.now_us += data.draw(st.integers(0, 9)) * DAY_US
        world.call(data.draw(CHANGES), data.draw(WHEN))
    file = data.draw(similar(world.file))
    take_over = TakeOver(everything=data.draw(st.booleans()))
    conflicts = world.apply(file, take_over)
    first = world.stored
    assert (conflicts, first) == (world.apply(file, take_over), world.stored)
    world.now_us += data.draw(st.integers(0, 90)) * DAY_US
    world.apply(file)
    assert first == world.stored


@given(st.data())
@settings(deadline=None)
def test_what_is_taken_over_with_all_names_is_the_file(data: st.DataObject) -> None:
    world = World(data.draw(COMPANIES))
    for _ in range(data.draw(st.integers(0, 4))):
        world.now_us += data.draw(st.integers(0, 9)) * DAY_US
        world.call(data.draw(CHANGES), data.draw(WHEN))
    file = data.draw(similar(world.file))
    names = frozenset((file.id, ".".join(owner.path)) for owner in world.stored.owners)
    assert 0 == world.apply(file, TakeOver(everything=True, fields=names))
    assert () == world.stored.owners
    assert world.fields(file) == world.fields(world.stored.company)


def test_an_empty_list_of_add_ons_that_changes_nothing_makes_no_field() -> None:
    planned = (ScheduledChange(NOW_US + 1, "max", ()),)
    company = Company("acme", subscription=Subscription("pro", NOW_US, changes=planned))
    assert {("plan",), ("anchor",)} == set(fields_of(company))
    held = (AddOnSubscription("gb"),)
    company = Company("acme", subscription=Subscription("pro", NOW_US, None, add_ons=held))
    assert ("add_ons", "gb") in fields_of(company)
