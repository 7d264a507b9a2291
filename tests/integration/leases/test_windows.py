"""A limit of a minute, shared by eight sidecars, while minutes end: each holds by itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.support.audit import CLEAN, audit
from tests.support.fleet import fleet
from tests.support.ledger import EXPORTS, ledger_lines, now_us
from tests.support.processes import until

_MINUTE_US: Final = 60_000_000
_EXPORTS_MAX: Final = 300


@pytest.mark.slow
async def test_no_minute_passes_its_limit_and_each_whole_one_is_used_up(tmp_path: Path) -> None:
    async with fleet(tmp_path, exports_max=_EXPORTS_MAX, exports_per="minute") as pods:
        first = now_us() // _MINUTE_US
        async with pods.loaded(141, rest_s=0.02):
            for number in range(1, 4):

                async def over(minute: int = first + number) -> bool:
                    return now_us() // _MINUTE_US >= minute

                await until(over, "the minute does not end")
        await pods.flush()
        lines = await ledger_lines(pods.plane)
        assert CLEAN == audit(pods.books, lines)
        counted: Counter[tuple[str, int]] = Counter()
        for line in lines:
            if line.feature == EXPORTS:
                minute = line.event_time.ToMicroseconds() // _MINUTE_US
                counted[line.company, minute] += line.quantity
        print(sorted(counted.items()))
        assert max(counted.values()) <= _EXPORTS_MAX
        whole = (first + 1, first + 2)
        assert min(used for (_, minute), used in counted.items() if minute in whole) >= 297
