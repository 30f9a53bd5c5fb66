"""Stages that make what may be released: roles, redacted words, other voices, a masked picture, a public body track, a check."""
