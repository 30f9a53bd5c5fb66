"""Converts a dataset to the formats of other tools."""
