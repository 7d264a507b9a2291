"""What Prometheus reads of the rates that sidecars share."""

from __future__ import annotations

from sidecar.control.services.rate_shares import RateShares
from sidecar.shared.ops.instruments import Instrument, MetricReading


def rate_share_instruments(shares: RateShares) -> list[Instrument]:
    """The instruments; what they read are plain numbers."""
    return [
        MetricReading(
            "tallyd_shared_rates",
            "Rates that sidecars share.",
            lambda: shares.rates,
        ),
        MetricReading(
            "tallyd_rate_sharers",
            "Sidecars that share rates.",
            lambda: shares.sidecars,
        ),
        MetricReading(
            "tallyd_rate_shares_moved",
            "Shares of rates that sidecars were told since others want more or less.",
            lambda: shares.moved,
            kind="counter",
        ),
    ]
