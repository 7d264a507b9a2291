"""What the plane refuses for an unknown name says which one may have been meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.control.services import apply, directory, usage
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.company.model import Company
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangePlan,
    ResetUsage,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.errors import FieldError
from tests.unit.control.support import CATALOG, NOW_US, company, set_up

Question = Callable[[PlaneStore], object]


def _change(wanted: SubscriptionChange, whose: str = "acme") -> Question:
    return lambda store: change_subscription(store, whose, wanted, NOW, NOW_US)


CASES: dict[str, tuple[Question, str]] = {
    "a plan": (_change(ChangePlan("por")), "the catalog has no plan 'por'; did you mean 'pro'?"),
    "an add-on that none is like": (
        _change(SetAddOn("storage")),
        "the catalog has no add-on 'storage'",
    ),
    "the company of a change": (
        _change(ResetUsage(), "acm"),
        "there is no company 'acm'; did you mean 'acme'?",
    ),
    "the company of usage": (
        lambda store: usage.company_usage(store, "Acme", "", NOW_US),
        "there is no company 'Acme'; did you mean 'acme'?",
    ),
    "a feature": (
        lambda store: usage.company_usage(store, "acme", "tokns", NOW_US),
        "the catalog has no feature 'tokns'; did you mean 'tokens'?",
    ),
    "a company": (
        lambda store: directory.get_company(store, "acmee"),
        "there is no company 'acmee'; did you mean 'acme'?",
    ),
    "a company that none is like": (
        lambda store: directory.get_company(store, "umbrella"),
        "there is no company 'umbrella'",
    ),
}


@pytest.mark.parametrize(("question", "said"), CASES.values(), ids=CASES)
def test_an_unknown_name_is_told_with_the_one_that_was_meant(
    store: PlaneStore, question: Question, said: str
) -> None:
    set_up(store, "acme", "globex")
    with pytest.raises(FieldError) as refused:
        question(store)
    assert said == refused.value.message


def test_a_company_is_found_among_many(store: PlaneStore) -> None:
    companies = tuple(Company(f"a{at:04}") for at in range(1_500))
    apply.apply(store, Desired(CATALOG, (*companies, company("northwind"))), NOW_US)
    with pytest.raises(FieldError) as refused:
        directory.get_company(store, "nortwind")
    assert refused.value.message.endswith("did you mean 'northwind'?")
