"""One check on its way through a step: whose it is, and where its answer is kept for retries."""

from __future__ import annotations

import msgspec

from sidecar.directory.directory import Directory
from sidecar.domain.limits.requests import Check, payload_digest
from sidecar.storage import keys
from sidecar.storage.answer_codec import StoredAnswer
from sidecar.storage.transaction import Transaction

_NOTHING = b""


def by_first_id(check: Check, directory: Directory) -> Check:
    """The check of a company that is called by another id, by its first one, if it is held."""
    first = directory.first_id(check.company, check.event_time_us)
    return check if first == check.company else msgspec.structs.replace(check, company=first)


class CheckCall:
    """A check by its company's first id. `answer_hash` and `digest` are empty without a key."""

    __slots__ = ("_called", "answer_hash", "check", "digest", "now_us", "transaction")

    def __init__(
        self, transaction: Transaction, check: Check, now_us: int, directory: Directory
    ) -> None:
        self.transaction = transaction
        self._called = check.company
        self.check = by_first_id(check, directory)
        self.now_us = now_us
        self.answer_hash = self.digest = _NOTHING
        if check.idempotency_key:
            self.answer_hash = keys.answer_hash(self.check.company, check.idempotency_key)
            self.digest = payload_digest(check)

    def stored_answer(self) -> StoredAnswer | None:
        """What is kept under the key, also from when it was not known who is called so."""
        if not self.answer_hash:
            return None
        stored = self.transaction.answer(self.answer_hash)
        if stored is None and self._called != self.check.company:
            key = self.check.idempotency_key
            stored = self.transaction.answer(keys.answer_hash(self._called, key))
        return stored
