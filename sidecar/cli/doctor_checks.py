"""What `tallyd doctor` looks at: from facts to findings, with a hint for each that is not good."""

from __future__ import annotations

import enum
import os
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
from sidecar.shared.ops.levels import (
    DISK_FULL_PERCENT,
    DISK_WARN_PERCENT,
    FULL_PERCENT,
    WARN_PERCENT,
    Disk,
    disk_of,
)

CLOCK_NEAR_US: Final = MILLISECOND_US
CLOCK_WARN_US: Final = 2 * SECOND_US
CLOCK_FAIL_US: Final = MINUTE_US
"""Beyond, windows start and end visibly late or early."""
SILENCE_WARN_US: Final = MINUTE_US
OUTBOX_WARN_RECORDS: Final = 100_000
"""Of a sidecar that does not say how many may wait."""
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
        yield _leases(status)
        if status.seats_untold:
            found = f"{number(status.seats_untold)} changes that the control plane is to be told"
            hint = "until then it may give these seats to others; it is told once it is reached"
            yield Result("seats", Outcome.WARN, found, hint)
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
    yield _damage(status)
    if status.store_trouble:
        hint = "calls that count are refused until there is room, or the disk is well again"
        yield Result("store", Outcome.FAIL, status.store_trouble, hint)
    if status.HasField("remembered"):
        yield _answers(status)
    if status.disk_bytes:
        yield _disk("store's disk", Disk(status.disk_free_bytes, status.disk_bytes))


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
    most = status.outbox_max_records
    many = most * WARN_PERCENT // 100 if most else OUTBOX_WARN_RECORDS
    is_full = 0 < most * FULL_PERCENT // 100 <= records
    good = records <= many and (status.plane_connected or not records)
    if status.HasField("oldest_waiting_at"):
        age_us = max(0, now_us - instant_of(status.oldest_waiting_at))
        found += f", the oldest for {span_of(age_us)}"
        good = good and age_us < SILENCE_WARN_US
    hint = "the ledger lacks them until the control plane is reached; then: tallyd flush"
    if is_full:
        found += f", of {number(most)} at most"
        hint = "once it is full, fail policies decide whether usage is allowed; reach the plane"
        return Result("outbox", Outcome.FAIL, found, hint)
    return graded("outbox", Outcome.OK if good else Outcome.WARN, found, hint)


def _leases(status: admin_pb2.GetStatusResponse) -> Result:
    if status.lease_refusals:
        found = f"the control plane knows nothing of {number(status.lease_refusals)} that were held"
        hint = "its log names the first; was the database, or this store, put back or copied?"
        return Result("leases", Outcome.WARN, found, hint)
    if not status.leases_in_use:
        found = "none: the control plane grants none"
        hint = "until it is of a version that does, exact limits go by what is heard of other pods"
        return Result("leases", Outcome.WARN, found, hint)
    return Result("leases", Outcome.OK, f"{number(status.leases_held)} held")


def _store(status: admin_pb2.GetStatusResponse) -> Result:
    percent = status.store_used_bytes * 100 // max(1, status.store_max_bytes)
    outcome = _graded_by(percent, WARN_PERCENT, FULL_PERCENT)
    used, most = size_text(status.store_used_bytes), size_text(status.store_max_bytes)
    found = f"{used} of {most} used ({percent} %)"
    return graded("store size", outcome, found, "raise store_bytes_max before it is full")


def _answers(status: admin_pb2.GetStatusResponse) -> Result:
    span = span_of(status.remembered.ToMicroseconds())
    size, most = size_text(status.answers_bytes), size_text(status.answers_max_bytes)
    found = f"idempotency keys are remembered for {span}: {size} of {most} used for answers"
    hint = "raise store_bytes_max or answers_percent_max; retries after that time count again"
    return Result("answers", Outcome.WARN, found, hint)


def _disk(name: str, disk: Disk) -> Result:
    percent = 100 - disk.free_bytes * 100 // max(1, disk.size_bytes)
    outcome = _graded_by(percent, DISK_WARN_PERCENT, DISK_FULL_PERCENT)
    found = f"{size_text(disk.free_bytes)} free of {size_text(disk.size_bytes)}"
    return graded(name, outcome, found, "a full disk turns writes away; make room")


def _graded_by(percent: int, warn: int, fail: int) -> Outcome:
    return Outcome.FAIL if percent >= fail else Outcome.WARN if percent >= warn else Outcome.OK


def _damage(status: admin_pb2.GetStatusResponse) -> Result:
    found = [f"{number(some.count)} of kind {some.kind} set aside" for some in status.quarantined]
    if status.losses:
        found.append(f"{number(len(status.losses))} stores lost before this one")
    hint = "look at the disk; what is lost is in: tallyd status, tallyd reconcile"
    outcome = Outcome.WARN if found else Outcome.OK
    return graded("store content", outcome, ", ".join(found) or "no damage found", hint)


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
    yield _disk("disk", disk_of(str(path)))
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
