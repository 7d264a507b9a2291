"""The load driver: what it counts, what it refuses to count, and the protocol under it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, islice, repeat
from pathlib import Path

import grpc
import pytest

from sidecar.front import frames
from tests.bench.echo import METHOD
from tests.bench.h2driver import process_cpu_ns, run_load
from tests.bench.load_result import LoadError, LoadResult, read_bodies, write_bodies
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.bench.test_wire import response, split

ROOT = Path(__file__).parents[3]
Behaviour = Callable[[bytes, grpc.ServicerContext], bytes]


def numbered_bodies(size_bytes: int = 100) -> Iterator[bytes]:
    return (b"%08d" % index + bytes(size_bytes - 8) for index in count())


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, str]]:
    """The echo server as a process: its target, its process number, and its target on TCP."""
    path = tmp_path_factory.mktemp("echo") / "socket"
    command = [sys.executable, "-m", "tests.bench.echo", "--socket", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        yield f"unix:{path}", process.pid, f"127.0.0.1:{port}"
        process.terminate()
        assert 0 == process.wait(HANG_SECONDS_MAX)


@contextmanager
def server(behaviour: Behaviour, **options: int) -> Iterator[str]:
    """A server in this process, on a free loopback port, that answers as `behaviour` says."""
    pool = ThreadPoolExecutor(max_workers=4)
    channel_arguments = [(f"grpc.{name}", value) for name, value in options.items()]
    running = grpc.server(pool, options=[("grpc.so_reuseport", 0), *channel_arguments])
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(behaviour)
    running.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bench.Echo", {"Call": handler}),)
    )
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.stop(grace=None).wait(HANG_SECONDS_MAX)
        pool.shutdown()


def load(target: str, bodies: Iterator[bytes], **changes: float) -> LoadResult:
    sizes = {"connections": 2, "in_flight": 3, "calls": 100, "warmup": 10}
    sizes |= {name: int(value) for name, value in changes.items() if name in sizes}
    return run_load(
        target,
        METHOD,
        bodies,
        connections=sizes["connections"],
        in_flight=sizes["in_flight"],
        calls=sizes["calls"],
        warmup=sizes["warmup"],
        seconds_max=changes.get("seconds_max", HANG_SECONDS_MAX),
        answer_seconds_max=changes.get("answer_seconds_max", HANG_SECONDS_MAX),
        deadline=bool(changes.get("deadline", False)),
    )


@pytest.mark.parametrize(("connections", "in_flight"), [(1, 1), (8, 1), (8, 8), (1, 64)])
def test_every_call_succeeds(echo: tuple[str, int, str], connections: int, in_flight: int) -> None:
    result = load(echo[0], numbered_bodies(), connections=connections, in_flight=in_flight)
    assert (100, 0, {}) == (result.calls, result.errors, result.failures)
    assert 100 == len(result.latencies_ns)
    assert 0 < result.p50_us <= result.p99_us


def test_samples_hold_the_first_calls_and_some_others(echo: tuple[str, int, str]) -> None:
    result = load(echo[0], numbered_bodies(), connections=1, in_flight=1)
    indices = [sample.index for sample in result.samples]
    assert list(range(8)) == indices[:8]
    assert 16 == len(set(indices))
    for sample in result.samples:
        assert sample.response == sample.request
        assert 10 + sample.index == int(sample.request[:8])  # 10 went to the warm-up


def test_calls_reach_the_server_on_tcp(echo: tuple[str, int, str]) -> None:
    result = load(echo[2], numbered_bodies())
    assert (100, 0) == (result.calls, result.errors)


@pytest.mark.parametrize(("deadline", "most_s"), [(True, 5.0), (False, float("inf"))])
def test_server_hears_of_a_deadline_where_calls_have_one(deadline: bool, most_s: float) -> None:
    left_s: list[float] = []

    def note(request: bytes, context: grpc.ServicerContext) -> bytes:
        left_s.append(context.time_remaining() or 0.0)
        return request

    with server(note) as target:
        assert 0 == load(target, numbered_bodies(), deadline=deadline).errors
    assert 110 == len(left_s)
    assert all(0 < left <= most_s for left in left_s)
    assert deadline == all(left <= 5.0 for left in left_s)


@pytest.mark.parametrize("size_bytes", [0, 1, 16_379, 16_380, 20_000, 65_530, 65_531, 1_000_000])
def test_bodies_of_any_size_pass_flow_control(echo: tuple[str, int, str], size_bytes: int) -> None:
    # 1 MB: 30 calls are more than both sides' windows, so updates must flow both ways.
    body = bytes(range(256)) * (size_bytes // 256) + bytes(size_bytes % 256)
    result = load(echo[0], repeat(body), calls=30, warmup=0)
    assert (30, 0) == (result.calls, result.errors)
    assert {body} == {sample.response for sample in result.samples}


def test_server_that_allows_two_streams_gets_no_more() -> None:
    # A peer of our own: grpcio counts a stream for a moment longer than its trailers say.
    most_open = 0

    def answer(listener: socket.socket) -> None:
        nonlocal most_open
        limits = frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 2})
        link, _ = listener.accept()
        with link:
            link.sendall(limits + frames.SETTINGS_ACK)
            assert frames.PREFACE == link.recv(len(frames.PREFACE), socket.MSG_WAITALL)
            pending = b""
            while data := link.recv(65_536):
                found, pending = split(pending + data)
                opened = [stream for kind, stream, _ in found if kind == frames.HEADERS]
                most_open = max(most_open, len(opened))
                link.sendall(b"".join(response(stream, b"") for stream in opened))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        answered = pool.submit(answer, listener)
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        result = load(target, numbered_bodies(), connections=1, in_flight=16)
        answered.result(HANG_SECONDS_MAX)
    assert (100, 0) == (result.calls, result.errors)
    assert 2 == most_open


def test_failing_status_counts_as_error() -> None:
    def refuse_odd(request: bytes, context: grpc.ServicerContext) -> bytes:
        if int(request) % 2:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "odd")
        return request

    with server(refuse_odd) as target:
        result = load(target, (b"%d" % index for index in count()))
    assert (50, 50) == (result.calls, result.errors)
    assert {"grpc-status 8: odd": 50} == result.failures
    assert 50 == len(result.latencies_ns)


def test_status_after_a_response_body_is_what_counts() -> None:
    def fail_late(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_code(grpc.StatusCode.DATA_LOSS)
        return request

    with server(fail_late) as target:
        result = load(target, numbered_bodies())
    assert (0, 100) == (result.calls, result.errors)


def test_unknown_method_counts_as_errors(echo: tuple[str, int, str]) -> None:
    result = run_load(
        echo[0],
        "/bench.Echo/Missing",
        numbered_bodies(),
        connections=1,
        in_flight=1,
        calls=10,
        warmup=0,
        seconds_max=HANG_SECONDS_MAX,
    )
    assert (0, 10, 1) == (result.calls, result.errors, len(result.failures))
    assert next(iter(result.failures)).startswith("grpc-status 12: ")


def test_kinds_of_failure_are_bounded() -> None:
    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INTERNAL, request.decode())
        raise AssertionError("abort raises")

    with server(refuse) as target:
        result = load(target, (b"%d" % index for index in count()))
    assert (100, 17) == (result.errors, len(result.failures))
    assert 84 == result.failures["other"]


def test_load_ends_when_its_time_is_over(echo: tuple[str, int, str]) -> None:
    result = load(echo[0], numbered_bodies(), calls=1_000_000_000, warmup=0, seconds_max=0.05)
    assert 0 < result.calls < 1_000_000_000
    assert 0 == result.errors


def test_load_ends_when_bodies_run_out(echo: tuple[str, int, str]) -> None:
    result = load(echo[0], islice(numbered_bodies(), 25))
    assert (15, 0) == (result.calls, result.errors)


def test_no_figure_without_a_measured_call(echo: tuple[str, int, str]) -> None:
    with pytest.raises(LoadError, match="no call was measured"):
        load(echo[0], islice(numbered_bodies(), 10))


def test_silent_server_is_given_up() -> None:
    release = threading.Event()

    def wait(request: bytes, _: grpc.ServicerContext) -> bytes:
        release.wait(HANG_SECONDS_MAX)
        return request

    with server(wait) as target:
        try:
            with pytest.raises(LoadError, match="6 calls without an answer"):
                load(target, numbered_bodies(), answer_seconds_max=0.05)
        finally:
            release.set()


def test_server_that_ends_in_the_middle_is_an_error() -> None:
    stopping = threading.Event()

    def stop_soon(request: bytes, _: grpc.ServicerContext) -> bytes:
        stopping.set()
        return request

    with ThreadPoolExecutor() as pool:
        with server(stop_soon) as target:
            running = pool.submit(load, target, numbered_bodies(), calls=1_000_000_000)
            assert stopping.wait(HANG_SECONDS_MAX)
        with pytest.raises(LoadError):
            running.result(HANG_SECONDS_MAX)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("unix:/nonexistent/socket", "No such file"),
        ("192.0.2.1:80", "loopback addresses only"),
        ("localhost:80", "does not appear to be an IPv4 or IPv6 address"),
        ("127.0.0.1:http", "invalid literal"),
    ],
)
def test_bad_target_is_refused(target: str, message: str) -> None:
    with pytest.raises((LoadError, ValueError), match=message):
        load(target, numbered_bodies())


def test_command_prints_one_json_object(echo: tuple[str, int, str], tmp_path: Path) -> None:
    bodies, samples = tmp_path / "bodies", tmp_path / "samples"
    write_bodies(bodies, islice(numbered_bodies(), 30))
    command = [sys.executable, "-m", "tests.bench.h2driver", "--target", echo[0]]
    command += ["--method", METHOD, "--bodies", str(bodies), "--cycle", "--samples", str(samples)]
    command += ["--connections", "2", "--in-flight", "2", "--calls", "90", "--warmup", "10"]
    command += ["--server-pid", str(echo[1])]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS_MAX
    )
    assert (0, "") == (done.returncode, done.stderr)
    figures = json.loads(done.stdout)
    assert (90, 0) == (figures["calls"], figures["errors"])
    assert figures["cpu_us_per_call"] > 0
    assert figures["p50_us"] <= figures["p99_us"]
    pairs = list(read_bodies(samples))
    assert 32 == len(pairs)
    assert pairs[1::2] == pairs[::2]


def test_cpu_time_of_this_process_agrees_with_its_own_clock() -> None:
    before_ns = time.process_time_ns()
    measured_ns = process_cpu_ns(os.getpid())
    assert before_ns <= measured_ns <= time.process_time_ns()


def test_cpu_time_of_a_missing_process_is_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(HANG_SECONDS_MAX)
    with pytest.raises(LoadError, match="cannot read the CPU time"):
        process_cpu_ns(process.pid)
