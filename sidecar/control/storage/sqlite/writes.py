"""Changes of the store on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final
from uuid import uuid4

import msgspec

from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.losses import UNKNOWN
from sidecar.control.storage.sqlite.seat_writes import SqliteSeatWrites
from sidecar.control.storage.values import (
    CORRECTIONS,
    Booked,
    CounterKey,
    KeyUse,
    KnownIncarnation,
    LedgerLine,
    Loss,
    RolloverWalk,
    RolloverWindow,
    StoredCompany,
    UnreadableLine,
)
from sidecar.domain.bounds import INT64_MAX, saturated
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.time.sure import KnownTime

# SQLite turns a sum that int64 does not hold into a floating-point number, which compares exactly
# with integers: so max and min bring it back to the nearest integer.
_ADD_TO_TALLY: Final = (
    "INSERT INTO incarnation_tally VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "records = records + excluded.records, "
    "quantity = max(min(quantity + excluded.quantity, 9223372036854775807), -9223372036854775807)"
)
_ADD_TO_COUNTER: Final = (
    "INSERT INTO counter (company, feature, window_end_us, window_start_us, slot, "
    "dimension_values, total, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET "
    "total = max(min(total + excluded.total, 9223372036854775807), -9223372036854775807), "
    "version = excluded.version"
)
_COUNTER_IS: Final = (
    "WHERE company = ? AND feature = ? AND window_end_us = ? AND window_start_us = ? "
    "AND slot = ? AND dimension_values = ?"
)
# Constants alone are put together.
_TOTAL_OF: Final = f"SELECT total FROM counter {_COUNTER_IS}"  # noqa: S608
_PARTS_OF: Final = f"SELECT amount FROM counter_part {_COUNTER_IS}"  # noqa: S608
_SET_TOTAL: Final = f"UPDATE counter SET total = ? {_COUNTER_IS}"  # noqa: S608
_PUT_ROLLOVER: Final = (
    "INSERT INTO counter (company, feature, window_end_us, window_start_us, slot, "
    "dimension_values, carried, rollover_terms, rollover_settled, rollover_due_us, total, version) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT DO UPDATE SET "
    "version = CASE WHEN carried IS excluded.carried THEN version ELSE excluded.version END, "
    "carried = excluded.carried, rollover_terms = excluded.rollover_terms, "
    "rollover_settled = excluded.rollover_settled, rollover_due_us = excluded.rollover_due_us"
)
_DROP_ROLLOVER: Final = (
    "UPDATE counter SET version = ?, carried = NULL, rollover_terms = NULL, rollover_settled = 0, "
    "rollover_due_us = NULL WHERE company = ? AND feature = ? AND window_end_us = ? "
    "AND window_start_us = ? AND slot = ? AND dimension_values = ? AND carried IS NOT NULL"
)
_COMPANIES_AT_ONCE: Final = 500
_ADD_TO_PART: Final = (
    "INSERT INTO counter_part VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "amount = max(min(amount + excluded.amount, 9223372036854775807), -9223372036854775807)"
)


class SqliteWrites(SqliteSeatWrites):
    """A `WriteTransaction` on a connection in which a transaction has begun."""

    def renew_epoch(self) -> None:
        self._connection.execute("UPDATE meta SET epoch = ?", (str(uuid4()),))

    def next_revision(self) -> int:
        self._connection.execute("UPDATE meta SET revision = revision + 1")
        return int(self._one("SELECT revision FROM meta")[0])

    def next_ledger_version(self, now_us: int) -> int:
        self._connection.execute(
            "UPDATE meta SET ledger_version = MAX(ledger_version + 1, ?)", (now_us,)
        )
        return int(self._one("SELECT ledger_version FROM meta")[0])

    def put_catalog(self, catalog: Catalog, revision: int) -> None:
        self._connection.execute(
            "REPLACE INTO catalog (id, revision, document) VALUES (1, ?, ?)",
            (revision, codec.document(catalog)),
        )

    def put_companies(self, companies: Iterable[StoredCompany]) -> None:
        rest = iter(companies)
        while page := list(islice(rest, _COMPANIES_AT_ONCE)):
            self._connection.executemany(
                "REPLACE INTO company (company, revision, document, timeline, changed_us, owners) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        stored.company.id,
                        stored.snapshot.version,
                        codec.document(stored.company),
                        codec.timeline_column(stored.snapshot),
                        stored.changed_us,
                        codec.owners_column(stored.owners),
                    )
                    for stored in page
                ],
            )
            self._put_plan_uses(page)

    def put_company_name(self, name: str, company: str, revision: int) -> None:
        self._connection.execute(
            "REPLACE INTO company_name VALUES (?, ?, ?)", (name, company, revision)
        )

    def remove_companies(self, ids: Iterable[str], revision: int) -> None:
        companies = list(ids)
        self._connection.executemany(
            "UPDATE company SET revision = ?, document = NULL, owners = NULL "
            "WHERE company = ? AND document IS NOT NULL",
            [(revision, company) for company in companies],
        )
        self._drop_plan_uses(companies)

    def put_incarnation(self, incarnation: KnownIncarnation) -> None:
        self._connection.execute(
            "REPLACE INTO incarnation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                codec.incarnation_column(incarnation.id),
                incarnation.watermark,
                incarnation.head,
                incarnation.fenced,
                incarnation.node,
                incarnation.first_heard_us,
                incarnation.last_heard_us,
                codec.capabilities_column(incarnation.capabilities),
                incarnation.agreed_us,
            ),
        )

    def put_loss(self, loss: Loss) -> None:
        self._connection.execute(
            "REPLACE INTO loss VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                codec.incarnation_column(loss.incarnation or UNKNOWN),
                loss.first_sequence,
                loss.noticed_us,
                loss.last_sequence,
                loss.reason,
                loss.node,
                loss.acknowledged_us,
            ),
        )

    def drop_losses(self, incarnation: str, first: int, last: int) -> None:
        self._connection.execute(
            "DELETE FROM loss WHERE incarnation = ? AND first_sequence BETWEEN ? AND ?",
            (codec.incarnation_column(incarnation), first, last),
        )

    def acknowledge_losses(self, noticed_until_us: int, now_us: int) -> int:
        return self._connection.execute(
            "UPDATE loss SET acknowledged_us = ? WHERE acknowledged_us IS NULL AND noticed_us <= ?",
            (now_us, noticed_until_us),
        ).rowcount

    def append(self, lines: Sequence[Booked], chains: Sequence[bytes]) -> None:
        columns = {line.incarnation: b"" for line in lines}
        for incarnation in columns:
            columns[incarnation] = codec.incarnation_column(incarnation)
        readable = [line for line in lines if isinstance(line, LedgerLine)]
        self._connection.executemany(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    line.company,
                    line.feature,
                    line.event_time_us,
                    columns[line.incarnation],
                    line.sequence,
                    line.quantity,
                    line.overage,
                    line.accepted_us,
                    line.received_us,
                    line.record,
                    line.duplicate_of,
                    line.unattributed,
                )
                for line in readable
            ],
        )
        self._connection.executemany(
            "INSERT INTO unreadable_record VALUES (?, ?, ?, ?, ?)",
            [
                (
                    columns[line.incarnation],
                    line.sequence,
                    line.received_us,
                    line.problem,
                    line.record,
                )
                for line in lines
                if isinstance(line, UnreadableLine)
            ],
        )
        self._connection.executemany(
            "INSERT INTO chain VALUES (?, ?, ?)",
            [
                (columns[line.incarnation], line.sequence, chain)
                for line, chain in zip(lines, chains, strict=True)
            ],
        )
        self._add_to_tallies(readable, columns)

    def _add_to_tallies(self, lines: Sequence[LedgerLine], columns: Mapping[str, bytes]) -> None:
        sums: dict[tuple[bytes, str], tuple[int, int]] = {}
        for line in lines:
            key = (columns[line.incarnation], line.feature)
            records, quantity = sums.get(key, (0, 0))
            sums[key] = (records + 1, quantity + line.quantity)
        self._connection.executemany(
            _ADD_TO_TALLY,
            [(*key, records, saturated(quantity)) for key, (records, quantity) in sums.items()],
        )

    def put_known_time(self, known: KnownTime) -> None:
        self._connection.execute(
            "REPLACE INTO known_time VALUES (1, ?, ?, ?, ?, ?, ?)",
            msgspec.structs.astuple(known),
        )

    def put_key_uses(self, uses: Mapping[tuple[str, str], KeyUse], elapsed_us: int) -> None:
        columns = {use.incarnation: b"" for use in uses.values()}
        for incarnation in columns:
            columns[incarnation] = codec.incarnation_column(incarnation)
        self._connection.executemany(
            "REPLACE INTO first_use VALUES (?, ?, ?, ?, ?, ?)",
            [
                (*key, columns[use.incarnation], use.sequence, use.digest, elapsed_us)
                for key, use in uses.items()
            ],
        )

    def forget_key_uses(self, before_us: int, limit: int) -> int:
        old = self._all(
            "SELECT company, idempotency_key FROM first_use "
            "WHERE received_us < ? ORDER BY received_us LIMIT ?",
            before_us,
            limit,
        )
        self._connection.executemany(
            "DELETE FROM first_use WHERE company = ? AND idempotency_key = ?", old
        )
        return len(old)

    def add_to_counters(
        self,
        incarnation: str,
        amounts: Mapping[CounterKey, int],
        version: int,
        corrections: Mapping[CounterKey, int] | None = None,
    ) -> None:
        sums = dict(amounts)
        self._add_to_parts(incarnation, amounts)
        if corrections:
            self._add_to_parts(CORRECTIONS, corrections)
            for key, amount in corrections.items():
                sums[key] = sums.get(key, 0) + amount
        rows = [(codec.counter_columns(key), saturated(sums[key])) for key in sums]
        ended = [columns for columns, net in rows if net < 0 and self._is_saturated(columns)]
        self._connection.executemany(
            _ADD_TO_COUNTER, [(*columns, amount, version) for columns, amount in rows]
        )
        for columns in ended:
            parts = self._all(_PARTS_OF, *columns)
            total = saturated(sum(amount for (amount,) in parts))
            self._connection.execute(_SET_TOTAL, (total, *columns))

    def _add_to_parts(self, incarnation: str, amounts: Mapping[CounterKey, int]) -> None:
        column = codec.incarnation_column(incarnation)
        self._connection.executemany(
            _ADD_TO_PART,
            [
                (*codec.counter_columns(key), column, saturated(amount))
                for key, amount in amounts.items()
            ],
        )

    def _is_saturated(self, key: codec.CounterColumns) -> bool:
        row = self._one(_TOTAL_OF, *key)
        return row is not None and row[0] == INT64_MAX

    def put_rollover_windows(self, windows: Iterable[RolloverWindow], version: int) -> None:
        self._connection.executemany(
            _PUT_ROLLOVER,
            [
                (*codec.counter_columns(window.key), *codec.rollover_columns(window), version)
                for window in windows
            ],
        )

    def drop_rollover_window(self, key: CounterKey, version: int) -> None:
        self._connection.execute(_DROP_ROLLOVER, (version, *codec.counter_columns(key)))

    def put_rollover_walk(self, walk: RolloverWalk) -> None:
        self._connection.execute(
            "REPLACE INTO rollover_walk VALUES (1, ?, ?, ?, ?)",
            (walk.revision, walk.company, walk.since_us, walk.signature),
        )
