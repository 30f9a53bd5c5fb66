"""Makers that tests of several packages share; taken from labels/test_vocabulary."""

from __future__ import annotations

SMALL = """kind = "nfbl"
name = "small"
version = "7"
provenance = "a test"
groups = { a = { name = "A" } }
class = [
  { id = 0, name = "brow raise", body_part = "head", group = "a", definition = "Up.", aliases = ["brow_raise"] },
  { id = 1, name = "head_shake", body_part = "head", group = "a", definition = "To and fro." },
]
"""
