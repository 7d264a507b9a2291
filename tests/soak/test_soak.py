"""The soak in its short form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.soak import soak

SECONDS = 30.0


@pytest.mark.slow
@pytest.mark.crash
async def test_half_a_minute_of_all_faults_mixed_is_survived(tmp_path: Path) -> None:
    assert "faults" in await soak(tmp_path, SECONDS, seed=91)
