"""What a store remembers of the control plane's contact."""

from __future__ import annotations

from sidecar.storage.contact import read_contact, write_contact
from tests.support.build import NOW_US
from tests.support.stores import OpenedStore


def test_a_new_store_never_heard_a_plane(opened: OpenedStore) -> None:
    assert read_contact(opened.store) is None


def test_the_last_contact_outlives_a_restart(opened: OpenedStore) -> None:
    write_contact(opened.store, NOW_US)
    write_contact(opened.store, NOW_US + 5)
    opened.reopen()
    assert NOW_US + 5 == read_contact(opened.store)
