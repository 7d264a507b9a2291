"""What is lost here, as a greeting tells the plane of it."""

from __future__ import annotations

from sidecar.api.sync.v1 import sync_pb2
from sidecar.shared.convert.times import timestamp
from sidecar.storage.folder_marks import StoreLoss
from sidecar.storage.quarantine import LostRecords


def lost_store(loss: StoreLoss | LostRecords) -> sync_pb2.LostStore:
    """A store that is gone, or records that one has lost."""
    return sync_pb2.LostStore(
        incarnation=loss.incarnation,
        noticed_time=timestamp(loss.noticed_us),
        reason=loss.reason,
    )
