"""Hypothesis in all tests: the same examples in every run, and no clock to trip over."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support.bytecode import keep_bytecode

keep_bytecode()
settings.register_profile(
    "tallyd",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tallyd")
