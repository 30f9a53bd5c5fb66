"""Drafts that help annotators: candidate clips of strong emotion, clues, and reasoning. People decide and edit."""
