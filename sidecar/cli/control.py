"""`tallyd control`: runs the control plane until it is told to stop."""

from __future__ import annotations

import sys

import click

from sidecar.cli.common import examples
from sidecar.cli.settings import config_error, environment, settings_options
from sidecar.shared.config import ConfigError, ControlConfig, load_control_config


@click.command(
    epilog=examples(
        "tallyd control --database-path ./control.db",
        "tallyd control --listen 127.0.0.1:7721 --http-listen 127.0.0.1:7722",
    ),
)
@settings_options(ControlConfig)
def command(**flags: str | None) -> None:
    """Run the control plane: keeps catalog, companies and the ledger, and serves sidecars.

    SIGTERM and SIGINT end it: calls are finished, within --drain-seconds-max.
    """
    try:
        loaded = load_control_config(flags, environment())
    except ConfigError as error:
        raise config_error(error) from None
    # Here, so that a mistake in the settings is told without starting anything.
    from sidecar.control.server import run

    sys.exit(run(loaded.config))
