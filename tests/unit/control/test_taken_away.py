"""What a call took away of a company stays away, whatever files say of it, or do not say."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.company.model import Company, PastDue, Pause
from sidecar.domain.company.subscription_changes import (
    EndTrial,
    MarkPaid,
    RenewSubscription,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
)
from tests.unit.control.owned import (
    ALL,
    NEXT_US,
    SEAT,
    bought,
    call,
    fields_in,
    given,
    start,
    stored,
)
from tests.unit.control.support import NOW_US

TAKEN_AWAY: Final[dict[str, tuple[Company, SubscriptionChange, str]]] = {
    "an add-on": (bought(add_ons=SEAT), SetAddOn("seat", 0), "add_ons.seat"),
    "a cancellation": (bought(cancel_us=NEXT_US), RenewSubscription(), "cancel_at"),
    "the end of a term": (bought(ends_us=NEXT_US), RenewSubscription(), "ends_at"),
    "a trial": (bought(trial_ends_us=NEXT_US), EndTrial(), "trial"),
    "a pause": (bought(pause=Pause(NOW_US)), ResumeSubscription(), "pause"),
    "a late payment": (bought(past_due=PastDue(NOW_US)), MarkPaid(), "past_due"),
}


@pytest.mark.parametrize(("file", "change", "field"), TAKEN_AWAY.values(), ids=TAKEN_AWAY)
def test_what_a_call_took_away_stays_away_also_after_a_file_that_does_not_mention_it(
    store: PlaneStore, file: Company, change: SubscriptionChange, field: str
) -> None:
    start(store, file)
    call(store, change)
    for company, told in ((file, [field]), (bought(), []), (bought(), []), (file, [field])):
        applied = given(store, company)
        assert (0, told) == (applied.changed, fields_in(applied.conflicts))
    assert bought() == stored(store).company
    assert 1 == given(store, file, take_over=ALL).changed
    assert (file, ()) == (stored(store).company, stored(store).owners)


def test_what_a_call_took_away_is_nobodys_without_a_subscription(store: PlaneStore) -> None:
    start(store, bought(add_ons=SEAT))
    call(store, SetAddOn("seat", 0))
    given(store, Company("acme"))
    assert () == stored(store).owners
    applied = given(store, bought(add_ons=SEAT))
    assert (1, 0) == (applied.changed, applied.conflicted)
