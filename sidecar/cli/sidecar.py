"""`tallyd sidecar`: runs the sidecar until it is told to stop."""

from __future__ import annotations

import sys

import click

from sidecar.cli.common import examples
from sidecar.cli.settings import config_error, environment, settings_options
from sidecar.shared.config import ConfigError, SidecarConfig, load_sidecar_config


@click.command(
    epilog=examples(
        "tallyd sidecar --control 127.0.0.1:7721",
        "tallyd sidecar --standalone catalog.yaml --store-path ./store --socket-path ./tallyd.sock",
    )
)
@settings_options(SidecarConfig)
def command(**flags: str | None) -> None:
    """Run the sidecar: answers checks from its own disk, and sends usage to a control plane.

    SIGTERM and SIGINT drain it: readiness goes off, calls are finished, usage is sent; all within
    --drain-seconds-max. What could not be sent stays on disk and is sent after the next start.

    --control and --standalone exclude each other. A flag wins over the environment, and that over a
    file: with --standalone, TALLYD_CONTROL is set aside.
    """
    try:
        loaded = load_sidecar_config(flags, environment())
    except ConfigError as error:
        raise config_error(error) from None
    # Here, so that a mistake in the settings is told without starting anything.
    from sidecar.app.sidecar import run

    sys.exit(run(loaded.config, loaded.set_aside))
