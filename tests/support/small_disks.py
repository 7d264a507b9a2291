"""File systems of a few MiB, for tests of what happens when they are full.

A child process gets one in a mount namespace of its own, so it is gone with the process. tmpfs
needs user namespaces or root; the others root, a loop device and their mkfs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.processes import ROOT

KINDS: Final = ("tmpfs", "ext4", "xfs", "btrfs")
_MIB: Final = 1 << 20
_BYTES: Final = {"tmpfs": 12 * _MIB, "ext4": 16 * _MIB, "xfs": 320 * _MIB, "btrfs": 128 * _MIB}
_MKFS: Final = {"ext4": ("-q", "-F"), "xfs": ("-q", "-f"), "btrfs": ("-q", "-f")}
_MOUNT: Final = 'mount $1 "$2" "$3" && shift 3 && exec "$@"'


class NoSmallDisk(Exception):
    """This machine has none of the kind; the text says why."""


def said_on_small_disk(kind: str, folder: Path, command: Sequence[str]) -> str:
    """What a command prints that runs with a small disk on `folder`/disk, and ends well.

    Skips the test where this machine has no such disk.
    """
    try:
        command = on_small_disk(kind, folder, command)
    except NoSmallDisk as error:
        pytest.skip(f"no small {kind}: {error}")
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=HANG_SECONDS_MAX
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def on_small_disk(kind: str, folder: Path, command: Sequence[str]) -> list[str]:
    """The command that runs a command with a small, empty disk mounted on `folder`/disk.

    Raises `NoSmallDisk`.
    """
    disk = folder / "disk"
    disk.mkdir(parents=True, exist_ok=True)
    if kind == "tmpfs":
        wrapped = _mounting(f"-t tmpfs -o size={_BYTES[kind]}", "tmpfs", disk)
    else:
        wrapped = _mounting(f"-t {kind} -o loop", str(small_image(kind, folder)), disk)
    _run([*wrapped, "true"], "cannot mount it")
    return [*wrapped, *command]


def _mounting(options: str, source: str, disk: Path) -> list[str]:
    namespace = ["unshare", "--mount"]
    if os.geteuid() != 0:
        namespace.append("--map-root-user")
    return [*namespace, "sh", "-c", _MOUNT, "sh", options, source, str(disk)]


def small_image(kind: str, folder: Path) -> Path:
    """A new, empty image of a disk, as a file in a folder. Raises `NoSmallDisk`."""
    if os.geteuid() != 0:
        raise NoSmallDisk(f"{kind} cannot be mounted without root")
    if shutil.which(f"mkfs.{kind}") is None:
        raise NoSmallDisk(f"mkfs.{kind} is not here")
    image = folder / f"{kind}.img"
    with open(image, "wb") as opened:
        opened.truncate(_BYTES[kind])
    _run([f"mkfs.{kind}", *_MKFS[kind], str(image)], "cannot make it")
    return image


def _run(command: Sequence[str], otherwise: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        raise NoSmallDisk(f"{otherwise}: {error}") from error
    if done.returncode:
        raise NoSmallDisk(f"{otherwise}: {done.stderr.strip()}")
