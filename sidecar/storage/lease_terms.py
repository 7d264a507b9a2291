"""On what terms a store stands with the plane about leases, kept for a restart."""

from __future__ import annotations

import msgspec

from sidecar.storage import keys
from sidecar.storage.facts import read_fact, write_fact
from sidecar.storage.store import Store


class LeaseTerms(msgspec.Struct, frozen=True):
    """Whether the plane grants leases, as it last said; and under which epoch all was reported.

    `epoch`: of the plane's state, empty where nothing was reported yet.
    """

    in_use: bool = False
    epoch: str = ""


def read_lease_terms(store: Store) -> LeaseTerms:
    """The terms; of a store that never heard of leases, none are in use.

    But for one that never followed a plane: news of the plane may reach it before the plane has
    said that it grants leases, and what is counted without meanwhile might pass a limit. That is
    kept before any news is: a process that ends in between must not take it for a store of before.
    """
    known = read_fact(store, keys.META_LEASE_TERMS, LeaseTerms)
    if known is not None:
        return known
    followed = store.transact(lambda transaction: transaction.keyspace.get(keys.META_POSITION))
    terms = LeaseTerms(in_use=followed is None)
    if terms.in_use:
        write_lease_terms(store, terms)
    return terms


def write_lease_terms(store: Store, terms: LeaseTerms) -> None:
    """Keep the terms."""
    write_fact(store, keys.META_LEASE_TERMS, terms)
