"""Writes a dataset folder from released clips."""
