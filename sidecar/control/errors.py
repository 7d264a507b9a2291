"""What only the control plane has to refuse."""

from __future__ import annotations

from sidecar.domain.errors import FieldError, TallydError


class StoreRefused(TallydError):
    """The database cannot be used: it is none, damaged, of another program, or of a newer one."""


class SequenceGap(FieldError):
    """Records before a run are missing; `expected_sequence` is the first of them."""

    def __init__(self, expected_sequence: int) -> None:
        message = f"records are missing from sequence {expected_sequence} on"
        super().__init__("first_sequence", message, "SEQUENCE_GAP")
        self.expected_sequence = expected_sequence


class Fenced(FieldError):
    """An incarnation's history is not the one that is known: a clone, or a restored disk.

    `common_sequence`: the last record that is the same here and there.
    """

    def __init__(self, common_sequence: int) -> None:
        message = f"the history is another one after sequence {common_sequence}"
        super().__init__("incarnation", f"{message}; a new incarnation is needed", "FENCED")
        self.common_sequence = common_sequence
