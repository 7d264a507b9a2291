"""The bytes of records on disk. They never change: stores in the field are read by later versions.

A change of a format needs a new version byte, and the bytes below stay readable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    CatalogSnapshot,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    Merge,
    Plan,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Segment,
    SubscriptionStatus,
)
from sidecar.domain.company.spans import snapshot_of
from sidecar.domain.time.sure import KnownTime
from sidecar.storage import codec, outbox_entry, snapshot_codec
from sidecar.storage.answer_codec import (
    StoredAnswer,
    decode_answer,
    encode_answer,
)
from sidecar.storage.codec import Incarnation, StoredCounter, Tally
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.snapshot_codec import CatalogHead
from sidecar.storage.watch_position import KeptPosition
from tests.support.build import DAY, MONTH, SHADOW, SOFT, THROTTLE, catalog, limit, metered

CHAIN: Final = bytes(range(32))
DIGEST: Final = bytes(range(16))
NAMES: Final = {300: "life"}

COUNTER: Final = StoredCounter(300, -2, 77, 1_775_001_600_000_000)
COUNTER_HEX: Final = (
    "01"  # version
    "02000000"  # incarnation
    "2c01000000000000"  # own
    "feffffffffffffff"  # others
    "4d00000000000000"  # heard
    "0000d8c35a4e0600"  # end of the window
)
BY_USER: Final = StoredCounter(300, -2, 77, 1_775_001_600_000_000, ("ann", ""))
BY_USER_HEX: Final = COUNTER_HEX + "92" + "a3616e6e" + "a0"  # MessagePack: two texts
CARRYING: Final = StoredCounter(300, -2, 77, 1_775_001_600_000_000, ("ann",), (4, 0, 70_000))
CARRYING_HEX: Final = (
    "02" + COUNTER_HEX[2:] + "92" + "91a3616e6e" + "930400ce00011170"  # values and amounts
)
CHAIN_BEGINS: Final = StoredCounter(300, -2, 77, 1_775_001_600_000_000, (), ())
CHAIN_BEGINS_HEX: Final = "02" + COUNTER_HEX[2:] + "92" + "90" + "90"
CORRECTED: Final = StoredCounter(300, -2, 77, 1_775_001_600_000_000, ("ann",), None, -9, 7)
CORRECTED_HEX: Final = "03" + COUNTER_HEX[2:] + "93" + "91a3616e6e" + "f7" + "07"
CARRYING_CORRECTED: Final = StoredCounter(300, -2, 77, 1_775_001_600_000_000, (), (4, 0), 3)
CARRYING_CORRECTED_HEX: Final = "04" + COUNTER_HEX[2:] + "94" + "90" + "920400" + "03" + "00"
PACKS: Final = StoredCounter(300, -2, 77, 1_775_001_600_000_000, (), (4, 0), 3, 0, 9)
PACKS_HEX: Final = "05" + COUNTER_HEX[2:] + "95" + "90" + "920400" + "03" + "00" + "09"

WHOLE_ANSWER: Final = StoredAnswer(DIGEST, b"answer")
WHOLE_ANSWER_HEX: Final = "01" + "0000d8c35a4e0600" + DIGEST.hex() + b"answer".hex()
ANSWER: Final = StoredAnswer(DIGEST[:8], b"answer life-70000")
ANSWER_HEX: Final = (
    "02"  # version
    + DIGEST[:8].hex()
    + "ac02"  # incarnation
    + "f0a204"  # sequence
    + b"answer ".hex()
)

TALLY_HEX: Final = "01" + "0300000000000000" + "7011010000000000"  # records and quantity

HEAD: Final = CatalogHead(9, 3, 2)
HEAD_HEX: Final = "0283a776657273696f6e09aa67656e65726174696f6e03a5706172747302"

ENTRY_HEX: Final = "01" + "7011010000000000" + CHAIN.hex() + b"record".hex()


def test_a_counter_is_written_like_this() -> None:
    assert COUNTER_HEX == codec.encode_counter(COUNTER, 2).hex()
    assert BY_USER_HEX == codec.encode_counter(BY_USER, 2).hex()


def test_a_counter_is_read_like_this() -> None:
    assert COUNTER == codec.decode_counter(bytes.fromhex(COUNTER_HEX), 2)
    assert BY_USER == codec.decode_counter(bytes.fromhex(BY_USER_HEX), 2)
    assert COUNTER.window_end_us == codec.window_end_of(bytes.fromhex(BY_USER_HEX))


def test_a_counter_into_which_amounts_were_carried_is_written_and_read_like_this() -> None:
    for counter, written in ((CARRYING, CARRYING_HEX), (CHAIN_BEGINS, CHAIN_BEGINS_HEX)):
        data = bytes.fromhex(written)
        assert written == codec.encode_counter(counter, 2).hex()
        assert counter == codec.decode_counter(data, 2) == codec.decode_counter(data, 2, ("ann",))
        assert CARRYING.window_end_us == codec.window_end_of(data)


def test_a_counter_with_corrections_is_written_and_read_like_this() -> None:
    written_as = {CORRECTED: CORRECTED_HEX, CARRYING_CORRECTED: CARRYING_CORRECTED_HEX}
    for counter, written in (written_as | {PACKS: PACKS_HEX}).items():
        data = bytes.fromhex(written)
        assert written == codec.encode_counter(counter, 2).hex()
        assert counter == codec.decode_counter(data, 2)
        assert counter.window_end_us == codec.window_end_of(data)


def test_which_counters_are_carried_into_is_seen_without_reading_them() -> None:
    written = [COUNTER_HEX, BY_USER_HEX, CARRYING_HEX, CHAIN_BEGINS_HEX, CORRECTED_HEX]
    found = [codec.is_carrying(bytes.fromhex(data)) for data in written]
    assert [False, False, True, True, False] == found
    assert codec.is_carrying(bytes.fromhex(CARRYING_CORRECTED_HEX))
    assert codec.is_carrying(bytes.fromhex(PACKS_HEX))


def test_values_that_are_known_are_not_read() -> None:
    assert BY_USER == codec.decode_counter(bytes.fromhex(COUNTER_HEX), 2, ("ann", ""))


def test_a_counter_of_an_earlier_incarnation_is_others_alone() -> None:
    expected = StoredCounter(0, 298, 77, COUNTER.window_end_us, ("ann", ""))
    assert expected == codec.decode_counter(bytes.fromhex(BY_USER_HEX), 3)


def test_an_answer_is_written_and_read_like_this() -> None:
    written = encode_answer(DIGEST, ANSWER.answer, 300, 70_000, len("life-70000"))
    assert ANSWER_HEX == written.hex()
    assert ANSWER == decode_answer(bytes.fromhex(ANSWER_HEX), NAMES)


def test_an_answer_that_was_kept_as_a_whole_is_read_like_this() -> None:
    assert WHOLE_ANSWER == decode_answer(bytes.fromhex(WHOLE_ANSWER_HEX), {})


def test_an_answer_whose_incarnation_is_not_known_any_more_is_none() -> None:
    assert decode_answer(bytes.fromhex(ANSWER_HEX), {}) is None


def test_an_outbox_entry_is_written_and_read_like_this() -> None:
    assert (
        ENTRY_HEX
        == (outbox_entry.pack_entry(outbox_entry.ENTRY_VERSION, 70_000, CHAIN) + b"record").hex()
    )
    entry = bytes.fromhex(ENTRY_HEX)
    assert (70_000, CHAIN, b"record") == (
        outbox_entry.total_bytes_in(entry),
        outbox_entry.chain_in(entry),
        outbox_entry.record_in(entry),
    )


INCARNATIONS: Final = (
    Incarnation(1, "one", True, 7, CHAIN, 900),
    Incarnation(2, "two"),
)
BASIC: Final = catalog(
    {"basic": [metered("calls", limit("m", 5, SOFT, each=["user"], match={"model": "large"}))]},
    {"sso": FeatureKind.BOOLEAN},
)
EVERYTHING: Final = Catalog(
    features=(
        Feature(
            "calls",
            FeatureKind.METERED,
            fail_policy=FailPolicy(
                FailAction.DEFAULT_PLAN, FailAction.DENY, 60_000_000, FailAction.ALLOW
            ),
        ),
    ),
    plans=(
        Plan(
            "basic",
            "",
            (
                EntitlementGrant(
                    "calls",
                    limits=(
                        Limit("m", MONTH, 5, THROTTLE, throttle=Rate(1, 1_000_000, 2)),
                        Limit("n", DAY, 7, rollover=Rollover(2, 9, 50)),
                    ),
                    rates=(RateLimit("r", Rate(10, 60_000_000, 20), SHADOW, Scope(("user",))),),
                ),
            ),
        ),
    ),
    add_ons=(
        AddOn("boost", "", 3, (AddOnEntitlement(metered("calls", limit("m", 1)), Merge.OVERRIDE),)),
    ),
    default_plan="basic",
)
ACME: Final = snapshot_of(
    "acme",
    9,
    (
        Segment(
            until_us=70,
            status=SubscriptionStatus.TRIALING,
            plan="basic",
            add_ons=(AddOnSubscription("boost", 3),),
            time_zone="Europe/Berlin",
            anchor_us=5,
        ),
        Segment(
            70,
            FOREVER_US,
            SubscriptionStatus.PAST_DUE,
            past_grace=True,
            plan="pro",
            overrides=(EntitlementGrant("sso", enabled=True),),
            time_zone="Europe/Berlin",
            anchor_us=70,
            generation=60,
            anchored_generation=70,
        ),
    ),
)

INCARNATIONS_HEX: Final = (
    "019286a76f7264696e616c01ab696e6361726e6174696f6ea36f6e65a666656e636564c3b561636b6e6f"
    "776c65646765645f73657175656e636507b261636b6e6f776c65646765645f636861696ec42000010203"
    "0405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fb261636b6e6f776c65646765645f"
    "6279746573cd038486a76f7264696e616c02ab696e6361726e6174696f6ea374776fa666656e636564c2"
    "b561636b6e6f776c65646765645f73657175656e636500b261636b6e6f776c65646765645f636861696e"
    "c4200000000000000000000000000000000000000000000000000000000000000000b261636b6e6f776c"
    "65646765645f627974657300"
)

POSITION_HEX: Final = "0183a565706f6368a565706f6368a87265766973696f6ecd012ca5726561647301"

TIME: Final = KnownTime(1773576000000000, 1773575940000000, -600000000, "one", 7)
TIME_HEX: Final = (
    "0185a66e6f775f7573cf00064d0ed7765000a7737572655f7573cf00064d0ed3e2c900a96f66667365745f7573d2"
    "dc3cba00a4626f6f74a36f6e65a87469636b735f757307"
)

TALLIES_HEX: Final = "0181a563616c6c7382a77265636f72647303a87175616e74697479ce00011170"

CATALOG_HEX: Final = (
    "0182a776657273696f6e09a7636174616c6f6782a866656174757265739282a36b6579a563616c6c73a4"
    "6b696e640382a36b6579a373736fa46b696e6401a5706c616e739182a36b6579a56261736963ac656e74"
    "69746c656d656e74739182a766656174757265a563616c6c73a66c696d6974739185a26964a16da67769"
    "6e646f7784a4756e697405a8696e74657276616c01a9616c69676e6d656e7401ad66697273745f776565"
    "6b64617900a6616d6f756e7405ab656e666f7263656d656e7402a573636f706582aa64696d656e73696f"
    "6e7391a475736572a56d617463689192a56d6f64656ca56c61726765"
)

EVERYTHING_HEX: Final = (
    "0182a776657273696f6e09a7636174616c6f6784a866656174757265739183a36b6579a563616c6c73a4"
    "6b696e6403ab6661696c5f706f6c69637984ab6e6f5f736e617073686f7403a57374616c6501ae737461"
    "6c655f61667465725f7573ce03938700ab6f7574626f785f66756c6c02a5706c616e739182a36b6579a5"
    "6261736963ac656e7469746c656d656e74739183a766656174757265a563616c6c73a66c696d69747392"
    "85a26964a16da677696e646f7784a4756e697405a8696e74657276616c01a9616c69676e6d656e7401ad"
    "66697273745f7765656b64617900a6616d6f756e7405ab656e666f7263656d656e7404a87468726f7474"
    "6c6583a5636f756e7401a9706572696f645f7573ce000f4240a562757273740284a26964a16ea677696e"
    "646f7784a4756e697403a8696e74657276616c01a9616c69676e6d656e7401ad66697273745f7765656b"
    "64617900a6616d6f756e7407a8726f6c6c6f76657283a777696e646f777302aa616d6f756e745f6d6178"
    "09ab70657263656e745f6d617832a572617465739184a26964a172a47261746583a5636f756e740aa970"
    "6572696f645f7573ce03938700a5627572737414ab656e666f7263656d656e7403a573636f706581aa64"
    "696d656e73696f6e7391a475736572a76164645f6f6e739183a36b6579a5626f6f7374a472616e6b03ac"
    "656e7469746c656d656e74739182a56772616e7482a766656174757265a563616c6c73a66c696d697473"
    "9184a26964a16da677696e646f7784a4756e697405a8696e74657276616c01a9616c69676e6d656e7401"
    "ad66697273745f7765656b64617900a6616d6f756e7401a573636f706580a56d6572676502ac64656661"
    "756c745f706c616ea56261736963"
)

COMPANY_V2_HEX: Final = (
    "0283a7636f6d70616e79a461636d65a776657273696f6e09a87365676d656e74739286a8756e74696c5f"
    "757346a673746174757301a4706c616ea56261736963a76164645f6f6e739182a66164645f6f6ea5626f"
    "6f7374a87175616e7469747903a974696d655f7a6f6e65ad4575726f70652f4265726c696ea9616e6368"
    "6f725f75730589a766726f6d5f757346a673746174757303aa706173745f6772616365c3a4706c616ea3"
    "70726fa96f76657272696465739182a766656174757265a373736fa7656e61626c6564c3a974696d655f"
    "7a6f6e65ad4575726f70652f4265726c696ea9616e63686f725f757346aa67656e65726174696f6e3cb3"
    "616e63686f7265645f67656e65726174696f6e46"
)

COMPANY_HEX: Final = (
    "0385a7636f6d70616e79a461636d65a776657273696f6e09a67068617365739285a8756e74696c5f7573"
    "46a673746174757301a4706c616ea56261736963a974696d655f7a6f6e65ad4575726f70652f4265726c"
    "696ea9616e63686f725f75730588a766726f6d5f757346a673746174757303aa706173745f6772616365"
    "c3a4706c616ea370726fa974696d655f7a6f6e65ad4575726f70652f4265726c696ea9616e63686f725f"
    "757346aa67656e65726174696f6e3cb3616e63686f7265645f67656e65726174696f6e46a76164645f6f"
    "6e739182a7636f6e74656e7482a66164645f6f6ea5626f6f7374a87175616e7469747903a8756e74696c"
    "5f757346a96f76657272696465739182a7636f6e74656e7482a766656174757265a373736fa7656e6162"
    "6c6564c3a766726f6d5f757346"
)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        pytest.param(INCARNATIONS, tuple[Incarnation, ...], INCARNATIONS_HEX, id="incarnations"),
        pytest.param(KeptPosition("epoch", 300, 1), KeptPosition, POSITION_HEX, id="position"),
        pytest.param(TIME, KnownTime, TIME_HEX, id="time"),
        pytest.param({"calls": Tally(3, 70_000)}, dict[str, Tally], TALLIES_HEX, id="tallies"),
        pytest.param(CatalogSnapshot(9, BASIC), CatalogSnapshot, CATALOG_HEX, id="catalog"),
        pytest.param(
            CatalogSnapshot(9, EVERYTHING), CatalogSnapshot, EVERYTHING_HEX, id="whole catalog"
        ),
    ],
)
def test_a_value_is_written_and_read_like_this(value: object, kind: Any, expected: str) -> None:
    assert expected == codec.encode_value(value).hex()
    assert value == codec.decode_value(bytes.fromhex(expected), kind)


def test_a_company_is_written_and_read_like_this() -> None:
    assert COMPANY_HEX == snapshot_codec.encode_snapshot(ACME).hex()
    assert ACME == snapshot_codec.decode_snapshot(bytes.fromhex(COMPANY_HEX))


def test_in_a_company_of_version_2_each_segment_says_all_that_holds() -> None:
    assert ACME == snapshot_codec.decode_snapshot(bytes.fromhex(COMPANY_V2_HEX))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(BY_USER_HEX, lambda data: codec.decode_counter(data, 2), id="counter"),
        pytest.param(
            BY_USER_HEX,
            lambda data: codec.decode_counter(data, 2, ("ann", "")),
            id="counter of known values",
        ),
        pytest.param(COMPANY_HEX, snapshot_codec.decode_snapshot, id="company"),
        pytest.param(ANSWER_HEX, lambda data: decode_answer(data, NAMES), id="answer"),
        pytest.param(TALLY_HEX, codec.decode_tally, id="tally"),
        pytest.param(HEAD_HEX, snapshot_codec.decode_catalog_head, id="head of a catalog"),
        pytest.param(POSITION_HEX, lambda data: codec.decode_value(data, KeptPosition), id="value"),
    ],
)
def test_a_record_of_a_later_version_is_damage(
    written: str, read: Callable[[bytes], object]
) -> None:
    with pytest.raises(StoreDamaged, match="version 9"):
        read(bytes.fromhex("09" + written[2:]))


def test_a_tally_is_written_and_read_like_this() -> None:
    assert TALLY_HEX == codec.encode_tally(Tally(3, 70_000)).hex()
    assert Tally(3, 70_000) == codec.decode_tally(bytes.fromhex(TALLY_HEX))


def test_the_head_of_a_catalog_is_written_and_read_like_this() -> None:
    assert HEAD_HEX == snapshot_codec.encode_catalog_head(HEAD).hex()
    assert HEAD == snapshot_codec.decode_catalog_head(bytes.fromhex(HEAD_HEX))


def test_a_catalog_in_one_piece_is_its_own_head() -> None:
    assert CatalogHead(9, 0, 0) == snapshot_codec.decode_catalog_head(bytes.fromhex(EVERYTHING_HEX))


@pytest.mark.parametrize("written", [COMPANY_HEX, COMPANY_V2_HEX, "01" + COMPANY_V2_HEX[2:]])
def test_the_version_of_a_company_is_read_alone(written: str) -> None:
    assert 9 == snapshot_codec.version_of(bytes.fromhex(written))


def test_the_format_of_the_store_is_10() -> None:
    assert 10 == codec.STORE_FORMAT


def test_a_counter_of_which_more_was_taken_back_than_counted_is_written_and_read_like_this() -> (
    None
):
    counter = StoredCounter(-5, 8, 3, FOREVER_US)
    written = codec.encode_counter(counter, 2)
    assert 0x41 == written[0]
    assert counter == codec.decode_counter(written, 2)
    assert StoredCounter(0, 3, 3, FOREVER_US) == codec.decode_counter(written, 3)
