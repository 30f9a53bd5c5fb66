"""The one place that decides which statement is consent.

Every source carries a statement of consent: free text from the consent column of a table, or from `--consent`. Four statements
are no consent: an empty one, "none", "no" and "withdrawn". Blanks around them and capital letters do not matter. Every other
text counts as consent: it is published with the dataset, for its readers to judge.
"""

from __future__ import annotations

from deemo_data.clip import Clip

REFUSALS = ("", "none", "no")
WITHDRAWAL = "withdrawn"


def is_given(statement: str | None) -> bool:
    """Whether a statement is consent."""
    return _fold(statement) not in (*REFUSALS, WITHDRAWAL)


def is_withdrawn(statement: str | None) -> bool:
    """Whether a statement withdraws consent that was given before. A later statement for all sources does not undo it."""
    return _fold(statement) == WITHDRAWAL


def has_consent(clip: Clip) -> bool:
    """Whether consent is on record for the source of a clip."""
    consent = clip.facts.get("consent") or {}
    return is_given(consent.get("statement"))


def _fold(statement: str | None) -> str:
    return statement.strip().casefold() if isinstance(statement, str) else ""
