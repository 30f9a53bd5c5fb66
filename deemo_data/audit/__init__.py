"""Attacks on what was released, one file per identity channel."""
