"""What can be wrong with a call. A denial is not here: it is an answer.

Each error carries what gRPC's `google.rpc.ErrorInfo` needs: a machine-readable `reason` and the
path of the `field` at fault, such as `catalog.plans[3].key`. Rooms that speak gRPC map the types
to status codes, each in one place.
"""

from __future__ import annotations


class TallydError(Exception):
    """Base of every error that a caller can do something about."""


class FieldError(TallydError):
    """An error that one field of the request is to blame for."""

    def __init__(self, field: str, message: str, reason: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message
        self.reason = reason


class InvalidInput(FieldError):
    """The request is not one that could ever be fulfilled as it stands."""

    def __init__(self, field: str, message: str, reason: str = "INVALID_ARGUMENT") -> None:
        super().__init__(field, message, reason)


class NotFound(FieldError):
    """What the field names does not exist."""

    def __init__(self, field: str, message: str, reason: str = "NOT_FOUND") -> None:
        super().__init__(field, message, reason)


class FailedPrecondition(FieldError):
    """The request is sound, but not in the present state of what it is about."""

    def __init__(self, field: str, message: str, reason: str = "FAILED_PRECONDITION") -> None:
        super().__init__(field, message, reason)


class OutOfRange(FieldError):
    """A value that cannot be handled: too old, too far ahead, or too large for a counter."""

    def __init__(self, field: str, message: str, reason: str = "OUT_OF_RANGE") -> None:
        super().__init__(field, message, reason)


class Conflict(FieldError):
    """An idempotency key was used before, with another payload."""

    def __init__(self, field: str, message: str, reason: str = "IDEMPOTENCY_CONFLICT") -> None:
        super().__init__(field, message, reason)


class Exhausted(FieldError):
    """A bound is reached: outbox or store are full, or too much is asked at once."""

    def __init__(self, field: str, message: str, reason: str = "RESOURCE_EXHAUSTED") -> None:
        super().__init__(field, message, reason)


class Unavailable(FieldError):
    """It cannot be answered now; nothing was counted, and a retry may help."""

    def __init__(self, field: str, message: str, reason: str = "UNAVAILABLE") -> None:
        super().__init__(field, message, reason)


class DataLoss(FieldError):
    """What is stored cannot be read; nothing was counted."""

    def __init__(self, field: str, message: str, reason: str = "DATA_LOSS") -> None:
        super().__init__(field, message, reason)
