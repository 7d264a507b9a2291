"""What `tallyd doctor` looks at: from facts to findings, with a hint for each that is not good."""

from __future__ import annotations

import enum
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sidecar import __version__
from sidecar.api.admin.v1 import admin_pb2
from sidecar.cli.output import number
from sidecar.cli.status import size_text
from sidecar.cli.times import span_of
from sidecar.domain.time.units import MILLISECOND_US, MINUTE_US, SECOND_US
from sidecar.shared.api_json import instant_of

CLOCK_NEAR_US: Final = MILLISECOND_US
CLOCK_WARN_US: Final = 2 * SECOND_US
CLOCK_FAIL_US: Final = MINUTE_US
"""Beyond, windows start and end visibly late or early."""
SILENCE_WARN_US: Final = MINUTE_US
OUTBOX_WARN_RECORDS: Final = 100_000
STORE_WARN_PERCENT: Final = 80
STORE_FAIL_PERCENT: Final = 95
DISK_WARN_PERCENT: Final = 10
_NAMES_MAX: Final = 5
_NETWORK_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "fuse.sshfs", "ceph", "glusterfs")
_MOUNTS: Final = Path("/proc/self/mounts")


class Outcome(enum.Enum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Result(NamedTuple):
    """One check: what was found, and what to try where it is not good."""

    name: str
    outcome: Outcome
    found: str
    hint: str = ""


def graded(name: str, outcome: Outcome, found: str, hint: str) -> Result:
    """Return a result, which has a hint only where it is not good."""
    return Result(name, outcome, found, "" if outcome is Outcome.OK else hint)


def status_results(status: admin_pb2.GetStatusResponse, now_us: int) -> Iterator[Result]:
    """Look at what a sidecar says of itself."""
    yield graded(
        "version",
        Outcome.OK if status.version == __version__ else Outcome.WARN,
        f"sidecar {status.version}, this command {__version__}",
        "use the same version on both sides",
    )
    if status.draining:
        hint = "it is about to stop; start it again if it should not"
        yield Result("drain", Outcome.WARN, "a drain has begun", hint)
    if not status.standalone:
        yield _plane(status, now_us)
        yield _clock(status, now_us)
        yield _outbox(status, now_us)
        if status.unreadable_companies:
            yield Result(
                "news",
                Outcome.FAIL,
                f"the news of {number(status.unreadable_companies)} companies cannot be read",
                "they go on with what was known before; its log names one and says what is wrong",
            )
    if status.clock_doubted_us:
        yield _clock_doubted(status)
    yield _store(status)


def _plane(status: admin_pb2.GetStatusResponse, now_us: int) -> Result:
    if not status.HasField("plane_heard_at"):
        hint = "companies that it never heard of are unknown to it; check its setting `control`"
        return Result("control plane", Outcome.FAIL, "the sidecar never heard it", hint)
    silence_us = max(0, now_us - instant_of(status.plane_heard_at))
    found = f"{'' if status.plane_connected else 'not '}connected, heard {span_of(silence_us)} ago"
    good = status.plane_connected and silence_us < SILENCE_WARN_US
    hint = "decisions go on and usage waits on disk; look at the network and at the control plane"
    return graded("control plane", Outcome.OK if good else Outcome.WARN, found, hint)


def _clock(status: admin_pb2.GetStatusResponse, now_us: int) -> Result:
    offset_us = status.clock_offset_us
    far_us = abs(offset_us)
    outcome = (
        Outcome.FAIL
        if far_us >= CLOCK_FAIL_US
        else Outcome.WARN
        if far_us >= CLOCK_WARN_US
        else Outcome.OK
    )
    side = "behind" if offset_us > 0 else "ahead of"
    near = far_us < CLOCK_NEAR_US
    found = "as the control plane's" if near else f"{span_of(far_us)} {side} the control plane's"
    if not status.plane_connected and status.HasField("plane_heard_at"):
        silence_us = max(0, now_us - instant_of(status.plane_heard_at))
        found += f", as of {span_of(silence_us)} ago"
    return graded("clock", outcome, found, "let both machines take their time from NTP")


def _clock_doubted(status: admin_pb2.GetStatusResponse) -> Result:
    whose = "this machine's" if status.standalone else "the control plane's"
    way = "ahead" if status.clock_doubted_us > 0 else "back"
    found = f"{whose} clock has jumped {way} by {span_of(abs(status.clock_doubted_us))}"
    hint = "it is not obeyed until it has said so for long; set right the clock that is wrong"
    return Result("clock jump", Outcome.FAIL, found, hint)


def _outbox(status: admin_pb2.GetStatusResponse, now_us: int) -> Result:
    records = status.outbox_records
    found = f"{number(records)} records wait, {size_text(status.outbox_bytes)}"
    good = records <= OUTBOX_WARN_RECORDS and (status.plane_connected or not records)
    if status.HasField("oldest_waiting_at"):
        age_us = max(0, now_us - instant_of(status.oldest_waiting_at))
        found += f", the oldest for {span_of(age_us)}"
        good = good and age_us < SILENCE_WARN_US
    hint = "the ledger lacks them until the control plane is reached; then: tallyd flush"
    return graded("outbox", Outcome.OK if good else Outcome.WARN, found, hint)


def _store(status: admin_pb2.GetStatusResponse) -> Result:
    percent = status.store_used_bytes * 100 // max(1, status.store_max_bytes)
    outcome = (
        Outcome.FAIL
        if percent >= STORE_FAIL_PERCENT
        else Outcome.WARN
        if percent >= STORE_WARN_PERCENT
        else Outcome.OK
    )
    used, most = size_text(status.store_used_bytes), size_text(status.store_max_bytes)
    found = f"{used} of {most} used ({percent} %)"
    return graded("store size", outcome, found, "raise store_bytes_max before it is full")


def path_results(path: Path) -> Iterator[Result]:
    """Look at the directory of a store."""
    try:
        facts = path.stat()
    except OSError as error:
        hint = "the sidecar creates it, if it may write to the directory above"
        yield Result("store path", Outcome.FAIL, f"{path}: {error.strerror}", hint)
        return
    if not stat.S_ISDIR(facts.st_mode):
        hint = "store_path names a directory"
        yield Result("store path", Outcome.FAIL, f"{path} is not a directory", hint)
        return
    yield _permissions(path, facts)
    yield _files(path)
    yield _free_space(path)
    kind = file_system_of(path.resolve(), _mounts())
    on_network = kind.startswith(_NETWORK_FILE_SYSTEMS)
    yield graded(
        "file system",
        Outcome.FAIL if on_network else Outcome.OK,
        kind or "unknown",
        "a store needs a local disk: memory maps and locks do not work over the network",
    )


def _permissions(path: Path, facts: os.stat_result) -> Result:
    mode = stat.S_IMODE(facts.st_mode)
    found = f"{path}: mode {mode:04o}, owner {facts.st_uid}"
    if mode & stat.S_IWOTH:
        return Result("store path", Outcome.FAIL, found, "anyone may write to it; chmod 0700")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        hint = "this user may not write to it; the sidecar's user must"
        return Result("store path", Outcome.WARN, found, hint)
    loose = mode & (stat.S_IRWXG | stat.S_IRWXO)
    hint = "others may look into it; chmod 0700 keeps them out"
    return graded("store path", Outcome.WARN if loose else Outcome.OK, found, hint)


def _files(path: Path) -> Result:
    """Look at the modes of what is in the directory of a store."""
    loose = []
    try:
        for entry in sorted(path.iterdir()):
            mode = entry.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
                loose.append(f"{entry.name} {stat.S_IMODE(mode):04o}")
    except OSError as error:
        hint = "run this as the sidecar's user"
        return Result("store files", Outcome.WARN, f"cannot be seen: {error.strerror}", hint)
    found = f"open to others: {', '.join(loose[:_NAMES_MAX])}" if loose else "the owner's alone"
    hint = "the sidecar narrows them when it starts, if they are its user's; or: chmod 0600"
    return graded("store files", Outcome.WARN if loose else Outcome.OK, found, hint)


def _free_space(path: Path) -> Result:
    disk = shutil.disk_usage(path)
    percent = disk.free * 100 // max(1, disk.total)
    good = percent >= DISK_WARN_PERCENT
    found = f"{size_text(disk.free)} free of {size_text(disk.total)}"
    hint = "a full disk turns writes away; make room"
    return graded("disk", Outcome.OK if good else Outcome.WARN, found, hint)


def _mounts() -> str:
    return _MOUNTS.read_text(errors="replace") if _MOUNTS.exists() else ""


def file_system_of(path: Path, mounts: str) -> str:
    """Return the kind of file system that holds a path, by the lines of /proc/mounts."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = Path(fields[1].replace("\\040", " "))
        if path.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), fields[2]
    return kind
