"""Stores of format 1 are read by this version, and are of its format from then on.

The bytes below were written by the first version of the store. They never change.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant, FeatureKind
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.company.spans import snapshot_of
from sidecar.storage import codec, keys, snapshot_codec
from sidecar.storage.codec import StoredCounter
from sidecar.storage.watch_position import WatchPosition
from tests.support.build import SOFT, catalog, catalog_snapshot, counter_ref, limit, metered
from tests.support.stores import MemoryDisk, OpenedStore, counter_key_of

BY_USER: Final = limit("m", 5, SOFT, each=["user"], match={"model": "large"})

COMPANY_HEX: Final = (
    "0185a7636f6d70616e79a461636d65a776657273696f6e09a974696d655f7a6f6e65ad4575726f70652f"
    "4265726c696ea9616e63686f725f757305a87365676d656e74739283a8756e74696c5f757346a6737461"
    "74757301a4706c616ea5626173696384a766726f6d5f757346a673746174757306ab61667465725f7472"
    "69616cc3a96f76657272696465739182a766656174757265a373736fa7656e61626c6564c3"
)

CATALOG_HEX: Final = (
    "0182a776657273696f6e09a7636174616c6f6782a866656174757265739282a36b6579a563616c6c73a4"
    "6b696e640382a36b6579a373736fa46b696e6401a5706c616e739182a36b6579a56261736963ac656e74"
    "69746c656d656e74739182a766656174757265a563616c6c73a66c696d6974739185a26964a16da67769"
    "6e646f7784a4756e697405a8696e74657276616c01a9616c69676e6d656e7401ad66697273745f776565"
    "6b64617900a6616d6f756e7405ab656e666f7263656d656e7402a573636f706582aa64696d656e73696f"
    "6e7391a475736572a56d617463689192a56d6f64656ca56c61726765"
)
POSITION_HEX: Final = "0182a565706f6368a565706f6368a87265766973696f6ecd012c"
COUNTER_HEX: Final = (
    "01"  # version
    "01000000"  # incarnation
    "2c01000000000000"  # own
    "feffffffffffffff"  # others
    "4d00000000000000"  # heard
    "0000d8c35a4e0600"  # end of the window
    "91a3616e6e"  # values
)
INCARNATIONS_HEX: Final = (
    "019186a76f7264696e616c01ab696e6361726e6174696f6ea66c6966652d31a666656e636564c2b5"
    "61636b6e6f776c65646765645f73657175656e636507b261636b6e6f776c65646765645f636861696e"
    "c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fb261636b6e6f77"
    "6c65646765645f6279746573cd0384"
)

ACME: Final = snapshot_of(
    "acme",
    9,
    (
        Segment(
            until_us=70,
            status=SubscriptionStatus.TRIALING,
            plan="basic",
            time_zone="Europe/Berlin",
            anchor_us=5,
        ),
        Segment(
            70,
            FOREVER_US,
            SubscriptionStatus.ENDED,
            after_trial=True,
            overrides=(EntitlementGrant("sso", enabled=True),),
            time_zone="Europe/Berlin",
            anchor_us=5,
        ),
    ),
)


def old_store() -> MemoryDisk:
    """What the first version left on the disk."""
    disk = MemoryDisk()
    kv = disk.engine().begin()
    kv.put(keys.META_FORMAT, b"1")
    kv.put(keys.META_INCARNATIONS, bytes.fromhex(INCARNATIONS_HEX))
    kv.put(keys.META_CATALOG, bytes.fromhex(CATALOG_HEX))
    kv.put(keys.META_POSITION, bytes.fromhex(POSITION_HEX))
    kv.put(keys.snapshot_key("acme"), bytes.fromhex(COMPANY_HEX))
    kv.put(counter_key_of(counter_ref(BY_USER, ("ann",))), bytes.fromhex(COUNTER_HEX))
    kv.commit()
    return disk


def test_a_company_had_its_time_zone_and_anchor_beside_the_segments() -> None:
    assert ACME == snapshot_codec.decode_snapshot(bytes.fromhex(COMPANY_HEX))


def test_a_store_of_format_1_is_read() -> None:
    opened = OpenedStore(old_store())
    content = catalog({"basic": [metered("calls", BY_USER)]}, {"sso": FeatureKind.BOOLEAN})
    assert catalog_snapshot(content, 9) == opened.snapshots.catalog()
    assert ACME == opened.snapshots.company("acme")
    assert WatchPosition("epoch") == opened.snapshots.position()  # it read less: all is told anew
    expected = StoredCounter(300, -2, 77, 1_775_001_600_000_000, ("ann",))
    assert expected == opened.counter(counter_ref(BY_USER, ("ann",)))
    assert ("life-1", 7) == (
        opened.store.incarnation.id,
        opened.store.incarnation.acknowledged_sequence,
    )


def test_a_store_of_format_1_is_of_this_format_once_it_was_opened() -> None:
    disk = old_store()
    opened = OpenedStore(disk)
    opened.store.transact(
        lambda transaction: transaction.put_counter(b"c", StoredCounter(1, 0, 0, 0, (), (5,)))
    )
    opened.reopen()
    kv = disk.engine().begin()
    assert b"%d" % codec.STORE_FORMAT == kv.get(keys.META_FORMAT)
    assert ACME == opened.snapshots.company("acme")
