"""tallyd: usage enforcement beside the application, with one exact ledger behind it."""

__version__ = "0.1.0"
