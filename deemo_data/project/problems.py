"""Problem: a source, a clip or a channel that a command could not do, with the reason and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deemo_data.clip import Clip
from deemo_data.errors import NotReleasable, to_printable_line


@dataclass(frozen=True)
class Problem:
    """Something that a command could not do: a line of out/ingest.json, out/segment.json, out/run.json or out/export.json.

    what    the source, clip or channel
    step    the command or the stage that it failed in
    advice  what to do, which may be empty
    """

    what: str
    step: str
    reason: str
    advice: str

    def __str__(self) -> str:
        return to_printable_line(f"{self.what}: {self.reason}" + (f". {self.advice}" if self.advice else ""))


def refusals_to_problems(refusals: Sequence[tuple[Clip, NotReleasable]]) -> list[Problem]:
    """A problem for each clip that may not be released."""
    return [Problem(clip.id, "release", e.what.removeprefix(f"clip {clip.id}").lstrip(": "), e.advice) for clip, e in refusals]
