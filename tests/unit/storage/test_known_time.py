"""Bytes of what is known of the time, as different versions write it. They never change."""

from __future__ import annotations

from typing import Final

from sidecar.domain.time.sure import KnownTime
from sidecar.storage import codec

BEFORE_HEX: Final = (
    "0185a66e6f775f7573cf00064d0ed7765000a7737572655f7573cf00064d0ed3e2c900a96f66667365745f7573d2"
    "dc3cba00a4626f6f74a36f6e65a87469636b735f757307"
)
HEX: Final = (
    "0186a66e6f775f7573cf00064d0ed7765000a7737572655f7573cf00064d0ed3e2c900a96f66667365745f7573d2"
    "dc3cba00a4626f6f74a36f6e65a87469636b735f757307aa656c61707365645f7573cf00064cfab99ef000"
)


def known(elapsed_us: int | None) -> KnownTime:
    return KnownTime(
        1773576000000000, 1773575940000000, -600000000, "one", 7, elapsed_us=elapsed_us
    )


def test_it_is_written_and_read_like_this() -> None:
    assert HEX == codec.encode_value(known(1773489600000000)).hex()
    assert known(1773489600000000) == codec.decode_value(bytes.fromhex(HEX), KnownTime)


def test_a_version_before_knew_nothing_of_what_has_elapsed() -> None:
    assert known(None) == codec.decode_value(bytes.fromhex(BEFORE_HEX), KnownTime)
