"""A bit of a key flips on the disk: LMDB then searches in vain, and the outbox is put in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.storage import keys
from sidecar.storage.bounded_scan import out_of_order
from tests.conformance.store.test_damaged_outbox import in_quarantine, sent
from tests.support.stores import LmdbDisk, OpenedStore

COUNT = 100


def flip(opened: OpenedStore, folder: Path, sequence: int, byte: int, bit: int) -> None:
    """Flip a bit in the key of an entry in the file, wherever a page has it."""
    opened.store.close()
    path = folder / "data.mdb"
    data = bytearray(path.read_bytes())
    key, at = keys.outbox_key(1, sequence), 0
    assert data.count(key)
    while (at := data.find(key, at)) >= 0:
        data[at + byte] ^= 1 << bit
        at += len(key)
    path.write_bytes(data)
    opened._open(power_lost=False)


@pytest.mark.parametrize(
    ("byte", "bit"), [(0, 2), (0, 3), (2, 6), (4, 0), (4, 1), (5, 3), (12, 5), (12, 7)], ids=str
)
@pytest.mark.parametrize("sequence", [1, 2, 37, 60])
@pytest.mark.parametrize("more", [0, 150])
def test_one_flipped_bit_of_a_key_hides_little_and_all_later_records_are_sent(
    tmp_path: Path, byte: int, bit: int, sequence: int, more: int
) -> None:
    opened = OpenedStore(LmdbDisk(tmp_path / "store"))
    opened.count_each(*range(1, COUNT + 1))
    flip(opened, tmp_path / "store", sequence, byte, bit)
    opened.count_each(*range(COUNT + 1, COUNT + more + 1))
    opened.tallies()
    first = len(sent(opened))
    lost = sum(in_quarantine(opened).values())
    assert COUNT + more == first + lost
    assert lost <= 2
    opened.count_each(*range(500))
    assert 500 == len(sent(opened))
    assert lost == sum(in_quarantine(opened).values())
    opened.close()


@pytest.mark.parametrize(
    ("found", "places"),
    [
        ([], []),
        ([b"a", b"b"], []),
        ([b"a", b"x", b"b", b"c"], [1]),
        ([b"b", b"c", b"a", b"d"], [2]),
        ([b"a", b"f", b"x", b"b", b"c", b"d"], [1, 2]),
    ],
)
def test_the_fewest_keys_are_out_of_order(found: list[bytes], places: list[int]) -> None:
    assert places == out_of_order(found)
