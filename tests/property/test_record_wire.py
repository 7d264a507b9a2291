"""Records written by hand are what the generated class reads, whatever their fields are."""

from __future__ import annotations

from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Window
from sidecar.storage.record_wire import (
    encode_burn,
    encode_cost,
    encode_level,
    encode_owner,
    encode_record,
    encode_source,
)
from tests.support.stores import encode_counter_ref

# Lengths around the points at which a length takes one byte more, and characters of every size.
_LENGTHS: Final = st.sampled_from([0, 1, 127, 128, 300, 16_383, 16_384]) | st.integers(0, 20)
_LONG: Final = st.builds(lambda size, unit: unit * size, _LENGTHS, st.sampled_from("x\u00e4\u20ac"))
_TEXT: Final = st.text(max_size=20) | _LONG
_NAMED: Final = st.dictionaries(_TEXT, _TEXT, max_size=4)
_INT64: Final = st.integers(-(2**63), INT64_MAX)
_COUNTERS: Final = st.lists(
    st.builds(
        CounterRef,
        _TEXT,
        st.lists(_TEXT, max_size=3).map(tuple),
        st.builds(Window, _INT64, _INT64),
    ),
    max_size=4,
)


@given(
    st.tuples(_TEXT, _TEXT),
    st.tuples(_INT64, _INT64, _INT64, _INT64),
    st.tuples(_TEXT, st.binary(min_size=16, max_size=16)),
    st.tuples(_NAMED, _NAMED),
    _COUNTERS,
    st.booleans(),
)
@example(("", ""), (0, 0, 0, 0), ("", bytes(16)), ({}, {}), [], False)
@example(
    ("x" * 128, "y" * 128),
    (INT64_MAX, 1, 1, INT64_MAX),
    ("k" * 128, b"\xff" * 16),
    ({"k" * 64: "v" * 256, "": ""}, {"m": "n" * 4000}),
    [CounterRef("s" * 32_768, ("", "v" * 256), Window(0, FOREVER_US))] * 2,
    True,
)
def test_the_generated_class_reads_what_was_written(
    owner: tuple[str, str],
    numbers: tuple[int, int, int, int],
    key: tuple[str, bytes],
    attributes: tuple[dict[str, str], dict[str, str]],
    counters: list[CounterRef],
    unattributed: bool,
) -> None:
    quantity, event_time_us, accepted_time_us, overage = numbers
    written = encode_record(
        encode_owner(*owner),
        quantity,
        event_time_us,
        accepted_time_us,
        key[0],
        key[1],
        attributes[0],
        attributes[1],
        [encode_counter_ref(counter) for counter in counters],
        overage,
        unattributed,
    )
    expected = sync_pb2.UsageRecord(
        company=owner[0],
        feature=owner[1],
        quantity=quantity,
        event_time_us=event_time_us,
        accepted_time_us=accepted_time_us,
        idempotency_key=key[0],
        payload_digest=key[1] if key[0] else b"",
        dimensions=attributes[0],
        metadata=attributes[1],
        counters=[
            sync_pb2.Counter(
                slot=counter.slot,
                values=counter.values,
                window_start_us=counter.window.start_us,
                window_end_us=counter.window.end_us,
            )
            for counter in counters
        ],
        overage=overage,
        unattributed=unattributed,
    )
    assert expected == sync_pb2.UsageRecord.FromString(written)


@given(st.lists(st.tuples(_TEXT, _TEXT, st.builds(Window, _INT64, _INT64), _INT64), max_size=4))
def test_the_generated_class_reads_what_was_burned(
    parts: list[tuple[str, str, Window, int]],
) -> None:
    burned = b"".join(
        encode_burn(encode_source(feature, slot, window), amount)
        for feature, slot, window, amount in parts
    )
    burned += b"".join(encode_cost(feature, amount) for feature, _, _, amount in parts)
    written = encode_record(
        encode_owner("acme", "calls"), 1, 2, 3, "", b"", {}, {}, [], 0, False, burned
    )
    expected = sync_pb2.UsageRecord(
        company="acme",
        feature="calls",
        quantity=1,
        event_time_us=2,
        accepted_time_us=3,
        burns=[
            sync_pb2.CreditBurn(
                feature=feature,
                counter=sync_pb2.Counter(
                    slot=slot, window_start_us=window.start_us, window_end_us=window.end_us
                ),
                amount=amount,
            )
            for feature, slot, window, amount in parts
        ],
        costs=[
            sync_pb2.CreditCost(feature=feature, amount=amount) for feature, _, _, amount in parts
        ],
    )
    assert expected == sync_pb2.UsageRecord.FromString(written)


@given(_TEXT, st.integers(0, INT64_MAX), _INT64, st.booleans(), _TEXT)
@example("", 0, 0, False, "")
def test_a_change_of_a_level_is_read_as_it_was_written(
    item: str, item_level: int, expires_us: int, expired: bool, origin: str
) -> None:
    written = encode_level(
        item, item_level, expires_us, expired=expired, origin=origin, origin_us=expires_us
    )
    change = sync_pb2.LevelChange(
        item=item,
        item_level=item_level,
        expires_us=expires_us,
        expired=expired,
        origin=origin,
        origin_time_us=expires_us if origin else 0,
    )
    assert sync_pb2.UsageRecord(level=change) == sync_pb2.UsageRecord.FromString(written)
    assert sync_pb2.UsageRecord.FromString(written).HasField("level")
