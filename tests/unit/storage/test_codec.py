"""The bytes of records on disk. They never change: stores in the field are read by later versions.

A change of a format needs a new version byte, and the bytes below stay readable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog import (
    CatalogSnapshot,
    CompanySnapshot,
    EntitlementGrant,
    FeatureKind,
    Segment,
    SubscriptionStatus,
)
from sidecar.storage import codec
from sidecar.storage.codec import Counter, Lineage, OutboxEntry, StoredAnswer, StoreFormatError
from sidecar.storage.outbox import Tally
from sidecar.storage.snapshots import Position
from tests.support.build import SOFT, catalog, limit, metered

CHAIN: Final = bytes(range(32))
DIGEST: Final = bytes(range(16))

COUNTER: Final = Counter(300, -2, 77, 1_775_001_600_000_000)
COUNTER_HEX: Final = (
    "01"  # version
    "02000000"  # lineage
    "2c01000000000000"  # own
    "feffffffffffffff"  # others
    "4d00000000000000"  # heard
    "0000d8c35a4e0600"  # end of the window
)
BY_USER: Final = Counter(300, -2, 77, 1_775_001_600_000_000, ("ann", ""))
BY_USER_HEX: Final = COUNTER_HEX + "92" + "a3616e6e" + "a0"  # MessagePack: two texts

ANSWER: Final = StoredAnswer(1_775_001_600_000_000, DIGEST, b"answer")
ANSWER_HEX: Final = "01" + "0000d8c35a4e0600" + DIGEST.hex() + b"answer".hex()

ENTRY: Final = OutboxEntry(70_000, CHAIN, b"record")
ENTRY_HEX: Final = "01" + "7011010000000000" + CHAIN.hex() + b"record".hex()


def test_a_counter_is_written_like_this() -> None:
    assert COUNTER_HEX == codec.encode_counter(COUNTER, 2).hex()
    assert BY_USER_HEX == codec.encode_counter(BY_USER, 2).hex()


def test_a_counter_is_read_like_this() -> None:
    assert COUNTER == codec.decode_counter(bytes.fromhex(COUNTER_HEX), 2)
    assert BY_USER == codec.decode_counter(bytes.fromhex(BY_USER_HEX), 2)
    assert COUNTER.window_end_us == codec.window_end_of(bytes.fromhex(BY_USER_HEX))


def test_a_counter_of_an_earlier_lineage_is_others_alone() -> None:
    expected = Counter(0, 298, 77, COUNTER.window_end_us, ("ann", ""))
    assert expected == codec.decode_counter(bytes.fromhex(BY_USER_HEX), 3)


def test_a_stored_answer_is_written_and_read_like_this() -> None:
    assert ANSWER_HEX == codec.encode_answer(ANSWER).hex()
    assert ANSWER == codec.decode_answer(bytes.fromhex(ANSWER_HEX))
    assert ANSWER.expires_us == codec.expiry_of(bytes.fromhex(ANSWER_HEX))


def test_an_outbox_entry_is_written_and_read_like_this() -> None:
    assert ENTRY_HEX == codec.encode_entry(70_000, CHAIN, b"record").hex()
    assert ENTRY == codec.decode_entry(bytes.fromhex(ENTRY_HEX))


LINEAGES: Final = (
    Lineage(1, "one", True, 7, CHAIN, 900),
    Lineage(2, "two"),
)
BASIC: Final = catalog(
    {"basic": [metered("calls", limit("m", 5, SOFT, each=["user"], match={"model": "large"}))]},
    {"sso": FeatureKind.BOOLEAN},
)
ACME: Final = CompanySnapshot(
    "acme",
    9,
    "Europe/Berlin",
    5,
    (
        Segment(until_us=70, status=SubscriptionStatus.TRIALING, plan="basic"),
        Segment(
            70,
            FOREVER_US,
            SubscriptionStatus.ENDED,
            after_trial=True,
            overrides=(EntitlementGrant("sso", enabled=True),),
        ),
    ),
)

LINEAGES_HEX: Final = (
    "019286a76f7264696e616c01ab696e6361726e6174696f6ea36f6e65a666656e636564c3b561636b6e6f"
    "776c65646765645f73657175656e636507b261636b6e6f776c65646765645f636861696ec42000010203"
    "0405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fb261636b6e6f776c65646765645f"
    "6279746573cd038486a76f7264696e616c02ab696e6361726e6174696f6ea374776fa666656e636564c2"
    "b561636b6e6f776c65646765645f73657175656e636500b261636b6e6f776c65646765645f636861696e"
    "c4200000000000000000000000000000000000000000000000000000000000000000b261636b6e6f776c"
    "65646765645f627974657300"
)

POSITION_HEX: Final = "0182a565706f6368a565706f6368a87265766973696f6ecd012c"

TALLIES_HEX: Final = "0181a563616c6c7382a77265636f72647303a87175616e74697479ce00011170"

CATALOG_HEX: Final = (
    "0182a776657273696f6e09a7636174616c6f6782a866656174757265739282a36b6579a563616c6c73a4"
    "6b696e640382a36b6579a373736fa46b696e6401a5706c616e739182a36b6579a56261736963ac656e74"
    "69746c656d656e74739182a766656174757265a563616c6c73a66c696d6974739185a26964a16da67769"
    "6e646f7784a4756e697405a8696e74657276616c01a9616c69676e6d656e7401ad66697273745f776565"
    "6b64617900a6616d6f756e7405ab656e666f7263656d656e7402a573636f706582aa64696d656e73696f"
    "6e7391a475736572a56d617463689192a56d6f64656ca56c61726765"
)

COMPANY_HEX: Final = (
    "0185a7636f6d70616e79a461636d65a776657273696f6e09a974696d655f7a6f6e65ad4575726f70652f"
    "4265726c696ea9616e63686f725f757305a87365676d656e74739283a8756e74696c5f757346a6737461"
    "74757301a4706c616ea5626173696384a766726f6d5f757346a673746174757306ab61667465725f7472"
    "69616cc3a96f76657272696465739182a766656174757265a373736fa7656e61626c6564c3"
)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        pytest.param(LINEAGES, tuple[Lineage, ...], LINEAGES_HEX, id="lineages"),
        pytest.param(Position("epoch", 300), Position, POSITION_HEX, id="position"),
        pytest.param({"calls": Tally(3, 70_000)}, dict[str, Tally], TALLIES_HEX, id="tallies"),
        pytest.param(CatalogSnapshot(9, BASIC), CatalogSnapshot, CATALOG_HEX, id="catalog"),
        pytest.param(ACME, CompanySnapshot, COMPANY_HEX, id="company"),
    ],
)
def test_a_value_is_written_and_read_like_this(value: object, kind: Any, expected: str) -> None:
    assert expected == codec.encode_value(value).hex()
    assert value == codec.decode_value(bytes.fromhex(expected), kind)


@pytest.mark.parametrize(
    "read",
    [
        lambda data: codec.decode_counter(data, 2),
        codec.decode_answer,
        codec.decode_entry,
        lambda data: codec.decode_value(data, Position),
    ],
    ids=["counter", "answer", "entry", "value"],
)
def test_a_record_of_another_version_is_refused(read: Callable[[bytes], object]) -> None:
    with pytest.raises(StoreFormatError, match="version 2"):
        read(b"\x02" + bytes(60))


def test_the_format_of_the_store_is_1() -> None:
    assert 1 == codec.STORE_FORMAT
