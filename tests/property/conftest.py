"""Hypothesis here: the same examples in every run, and no clock that a busy machine would trip."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tallyd", deadline=None, derandomize=True)
settings.load_profile("tallyd")
