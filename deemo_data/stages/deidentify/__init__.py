"""Stages that hide things, and the check of what they made."""
