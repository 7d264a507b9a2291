"""Configuration of the daemons: frozen, read once, every field with a safe default and bounds."""

from sidecar.shared.config.errors import ConfigError, SettingProblem
from sidecar.shared.config.fields import SettingField, fields
from sidecar.shared.config.loading import (
    Loaded,
    SetAside,
    SettingSource,
    SettingSourceKind,
    load_control_config,
    load_sidecar_config,
)
from sidecar.shared.config.settings import ControlConfig, SidecarConfig
from sidecar.shared.host.addresses import split_host_port

__all__ = [
    "ConfigError",
    "ControlConfig",
    "Loaded",
    "SetAside",
    "SettingField",
    "SettingProblem",
    "SettingSource",
    "SettingSourceKind",
    "SidecarConfig",
    "fields",
    "load_control_config",
    "load_sidecar_config",
    "split_host_port",
]
