"""The message classes of `interop.proto`, compiled when they are needed."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

_PROTO = Path(__file__).with_name("interop.proto")


@functools.cache
def _classes() -> dict[str, type[Any]]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "interop.binpb")
        command = ["protoc", f"-I{_PROTO.parent}", f"--descriptor_set_out={target}", str(_PROTO)]
        if protoc.main(command):
            raise RuntimeError(f"{_PROTO.name} does not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(files.file[0])
    names = [f"{files.file[0].package}.{message.name}" for message in files.file[0].message_type]
    return {
        name.rpartition(".")[2]: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        for name in names
    }


def message_class(name: str) -> Any:
    """A message's class, such as "SimpleRequest"."""
    return _classes()[name]
