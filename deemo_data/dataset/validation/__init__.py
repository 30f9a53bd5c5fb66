"""Checks a dataset folder that exists."""
