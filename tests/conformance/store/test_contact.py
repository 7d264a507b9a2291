"""What a store remembers of the control plane's contact."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.time.sure import KnownTime
from sidecar.storage.contact import read_contact, read_time, write_contact, write_time
from tests.support.build import NOW_US
from tests.support.stores import OpenedStore


def test_a_new_store_never_heard_a_plane(opened: OpenedStore) -> None:
    assert read_contact(opened.store) is None


def test_the_last_contact_outlives_a_restart(opened: OpenedStore) -> None:
    write_contact(opened.store, NOW_US)
    write_contact(opened.store, NOW_US + 5)
    opened.reopen()
    assert NOW_US + 5 == read_contact(opened.store)


def test_what_is_known_of_the_time_is_kept(opened: OpenedStore) -> None:
    assert read_time(opened.store) is None
    for known in (
        KnownTime(NOW_US, NOW_US - 5, -600_000_000, "one", 7),
        KnownTime(NOW_US + 5, NOW_US - 5, 0, "", 2**62),
        KnownTime(NOW_US, NOW_US - 5, 0, "one", 7, NOW_US - 9),
    ):
        write_time(opened.store, known)
        assert known == read_time(opened.store)
        opened.reopen()
        assert known == read_time(opened.store)


@pytest.mark.parametrize("nonsense", [2**62, -(2**62)])
@pytest.mark.parametrize("field", ["now_us", "sure_us", "offset_us", "elapsed_us"])
def test_a_time_that_cannot_be_is_not_known(opened: OpenedStore, field: str, nonsense: int) -> None:
    known = KnownTime(NOW_US, NOW_US, 0, "one", 7)
    write_time(opened.store, msgspec.structs.replace(known, **{field: nonsense}))
    assert read_time(opened.store) is None
