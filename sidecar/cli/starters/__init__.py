"""Catalogs to start from, as `tallyd init` writes them."""
