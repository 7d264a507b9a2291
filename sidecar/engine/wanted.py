"""What leases have to cover of a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sidecar.domain.limits.reasons import GrantMode


class Wanted(Protocol):
    """What leases have to cover of a check; perhaps of one that nobody has validated yet."""

    @property
    def company(self) -> str:
        """Id of the company."""
        ...

    @property
    def feature(self) -> str:
        """Key of the feature."""
        ...

    @property
    def quantity(self) -> int:
        """In the feature's unit."""
        ...

    @property
    def event_time_us(self) -> int:
        """When it happens."""
        ...

    @property
    def mode(self) -> GrantMode:
        """How much of the quantity may be granted."""
        ...

    @property
    def idempotency_key(self) -> str:
        """What a retry is known by; empty for none."""
        ...

    @property
    def dimensions(self) -> Mapping[str, str]:
        """Attributes; only looked at where a limit counts by them."""
        ...
