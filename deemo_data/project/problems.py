"""Problem: what did not come out, why, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deemo_data.clip import Clip
from deemo_data.errors import NotReleasable, plain


@dataclass(frozen=True)
class Problem:
    """Something that did not come out, why, and what to do: a line of out/ingest.json or out/run.json."""

    what: str
    step: str
    reason: str
    advice: str

    def __str__(self) -> str:
        return plain(f"{self.what}: {self.reason}" + (f". {self.advice}" if self.advice else ""))


def as_problems(kept: Sequence[tuple[Clip, NotReleasable]]) -> list[Problem]:
    """The clips that may not be released, with the reason."""
    return [Problem(clip.id, "release", e.what.removeprefix(f"clip {clip.id}").lstrip(": "), e.advice) for clip, e in kept]
