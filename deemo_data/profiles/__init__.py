"""Whole config files, by name."""
