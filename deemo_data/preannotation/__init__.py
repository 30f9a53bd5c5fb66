"""Drafts made by rules or a language model for people to judge."""
