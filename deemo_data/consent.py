"""The one place that says which statement is consent."""

from __future__ import annotations

from deemo_data.clip import Clip

NO_CONSENT = {"none", "no"}


def has_consent(clip: Clip) -> bool:
    """Whether consent is on record: a statement that is just "none", "no" or "withdrawn" is none."""
    consent = clip.facts.get("consent") or {"statement": "none"}
    return consent["statement"].strip().casefold() not in NO_CONSENT | {"withdrawn"}


REFUSED = {"", "none", "no", "withdrawn"}  # statements that are no consent
