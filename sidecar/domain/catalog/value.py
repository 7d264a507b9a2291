"""The base of values of what is sold, and to whom."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Base of the values in these modules: compared and hashed by content.

    The garbage collector leaves them out: there are no cycles among values, and hundreds of
    thousands of them would take it a tenth of a second to go through.
    """
