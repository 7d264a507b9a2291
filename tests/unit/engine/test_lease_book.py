"""What calls and whoever gets leases tell each other."""

from __future__ import annotations

import pytest

from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.engine import lease_book
from sidecar.engine.lease_book import LeaseBook, LeaseNews
from tests.support.build import NOW_US, counter_ref, limit

NAME = CounterName("acme", "calls", counter_ref(limit()))
LATER_US = NOW_US + 100_000


def test_a_counter_that_is_marked_twice_is_taken_once() -> None:
    book = LeaseBook()
    book.mark_due(b"a", NAME)
    book.mark_due(b"a", NAME)
    assert book.is_due(b"a")
    assert [NAME] == book.take_due()
    assert not book.is_due(b"a")
    assert [] == book.take_due()


def test_whoever_takes_marks_is_woken_once_for_all_of_them() -> None:
    book = LeaseBook()
    woken: list[int] = []
    book.on_due = lambda: woken.append(len(woken))
    for key in (b"a", b"b", b"a"):
        book.mark_due(key, NAME)
    assert [0] == woken
    book.take_due()
    book.mark_due(b"a", NAME)
    assert [0, 1] == woken


def test_marks_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_book, "DUE_MAX", 2)
    book = LeaseBook()
    for key in (b"a", b"b", b"c"):
        book.mark_due(key, NAME)
    assert 2 == len(book.take_due())
    book.mark_due(b"c", NAME)
    assert [NAME] == book.take_due()


def test_what_the_plane_said_holds_until_its_instant() -> None:
    book = LeaseBook()
    book.note(b"a", LeaseStatus.EXHAUSTED, LATER_US, 5)
    assert LeaseNews(LeaseStatus.EXHAUSTED, LATER_US, 5) == book.told(b"a", LATER_US - 1)
    assert book.told(b"a", LATER_US) is None
    assert book.told(b"b", NOW_US) is None


def test_of_too_many_the_oldest_news_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_book, "TOLD_MAX", 2)
    book = LeaseBook()
    for key in (b"a", b"b", b"a", b"c"):
        book.note(key, LeaseStatus.RECALLING, LATER_US)
    assert book.told(b"b", NOW_US) is None
    assert book.told(b"a", NOW_US) is not None
    assert book.told(b"c", NOW_US) is not None


def test_a_company_is_exact_until_somebody_without_leases_counts_on_it() -> None:
    book = LeaseBook()
    assert book.is_exact("acme")
    book.note_exact("acme", False)
    assert not book.is_exact("acme")
    assert book.is_exact("globex")
    book.note_exact("acme", True)
    assert book.is_exact("acme")


def test_none_is_called_exact_where_too_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_book, "INEXACT_MAX", 2)
    book = LeaseBook()
    for company in ("a", "b", "c"):
        book.note_exact(company, False)
    assert not book.is_exact("c")
    assert not book.is_exact("d")
    book.note_exact("a", True)
    assert book.is_exact("d")
