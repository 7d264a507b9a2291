"""A real gRPC server whose answers a test chooses, and a way to run commands against it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
from click.testing import CliRunner, Result
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.main import main
from sidecar.cli.servers import CURRENT_PLANE_QUESTION
from tests.support.bounds import HANG_SECONDS_MAX


class Failure(NamedTuple):
    """A status to end a call with; a reason brings google.rpc.ErrorInfo along."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    field: str = ""


Answer = Message | Failure | Callable[[Any], Message | Failure]


class FakeServer(grpc.GenericRpcHandler):
    """Answers any unary method by its name; what it was asked is in `requests` and `called`.

    It is of this version, and what asks for that alone is no request.
    """

    def __init__(self) -> None:
        self.address = ""
        self.answers: dict[str, Answer] = {"ListLeases": control_pb2.ListLeasesResponse()}
        self.requests: list[Any] = []
        self.called: list[str] = []
        self.released = threading.Event()

    def service(self, handler_call_details: Any) -> Any:
        """Find the handler of a method, by the descriptors that are loaded."""
        service, method = handler_call_details.method.strip("/").split("/")
        descriptor: Any = descriptor_pool.Default().FindServiceByName(service)
        wanted = descriptor.methods_by_name[method]
        request_class = message_factory.GetMessageClass(wanted.input_type)

        def answer(request: Message, context: grpc.ServicerContext) -> Message:
            self.called.append(method)
            if request != CURRENT_PLANE_QUESTION:
                self.requests.append(request)
            return self._answer(method, request, context)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _answer(self, method: str, request: Message, context: grpc.ServicerContext) -> Message:
        answer = self.answers.get(method, Failure(grpc.StatusCode.UNIMPLEMENTED, method))
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Failure):
            context.abort_with_status(rpc_status.to_status(_status(answer)))
        return answer

    def hang(self, request: Message) -> Message:
        """Answer only when the test ends."""
        self.released.wait(HANG_SECONDS_MAX)
        return request


def _status(failure: Failure) -> status_pb2.Status:
    status = status_pb2.Status(code=failure.code.value[0], message=failure.message)
    if failure.reason:
        detail = AnyMessage()
        fields = {"field": failure.field} if failure.field else {}
        detail.Pack(
            error_details_pb2.ErrorInfo(reason=failure.reason, domain="tallyd", metadata=fields)
        )
        status.details.append(detail)
    return status


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    """Serve on a free port of loopback until the block ends."""
    fake = FakeServer()
    with ThreadPoolExecutor(max_workers=4) as pool:
        server = grpc.server(pool, handlers=[fake])
        fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield fake
        finally:
            fake.released.set()
            server.stop(None).wait()


def tallyd(
    *args: str,
    colour: bool = False,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run the command line, with no settings but those of `environment`."""
    blank = {name: None for name in os.environ if name.startswith("TALLYD_")}
    runner = CliRunner(env={**blank, **(environment or {})})
    return runner.invoke(main, args, color=colour, input=stdin)
