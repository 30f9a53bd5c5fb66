"""Speaker turns: which speaker talks from when to when, and how a person's corrections change that.

Diarisation names speakers A, B, C. `correct_turns` applies corrections/speakers.json: first the merges ("B is A"), then the turns
that a person marked, which replace those of the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from deemo_data.clip import Facts

NOBODY = "-"  # the speaker of a turn in which a person found that nobody talks


class Turn(NamedTuple):
    """A stretch in which one speaker talks: [start_ms, end_ms) on the source's clock."""

    start_ms: int
    end_ms: int
    speaker: str


def number_to_letter(number: int) -> str:
    """The name of a speaker by number: A to Z for 0 to 25, then AA, AB and so on."""
    name = ""
    while number >= 0:
        number, rest = divmod(number, 26)
        name, number = ascii_uppercase[rest] + name, number - 1
    return name


def resolve_speaker(merge: dict[str, str], name: str) -> str:
    """Follow the merges from a speaker to the last one. Ends at a repetition if the merges form a circle."""
    passed = {name}
    while (name := merge.get(name, name)) not in passed:
        passed.add(name)
    return name


def correct_turns(machine: Iterable[Turn], corrections: Facts) -> list[Turn]:
    """The turns of the diarisation after a person's corrections. The machine's turns do not overlap; nor do the results.

    corrections  {"merge": {speaker: speaker}, "turns": [(start_ms, end_ms, speaker)]}; both may be missing
    """
    merge = corrections.get("merge") or {}
    renamed = [t._replace(speaker=resolve_speaker(merge, t.speaker)) for t in machine]
    marked = [Turn(s, e, resolve_speaker(merge, who)) for s, e, who in corrections.get("turns") or []]
    return join_turns(t for t in overlay_turns(renamed, marked) if t.speaker != NOBODY)


def overlay_turns(under: Sequence[Turn], over: Iterable[Turn]) -> list[Turn]:
    """Lay the turns `over` on the turns `under`, later ones on earlier ones; returns sorted turns that do not overlap.

    Each moment that any turn covers is covered exactly once.
    """
    rows = list(under)
    for top in over:
        rest = []
        for t in rows:
            if t.end_ms <= top.start_ms or t.start_ms >= top.end_ms:
                rest.append(t)
                continue
            if t.start_ms < top.start_ms:
                rest.append(t._replace(end_ms=top.start_ms))
            if t.end_ms > top.end_ms:
                rest.append(t._replace(start_ms=top.end_ms))
        rows = [*rest, top]
    return sorted(rows)


def join_turns(turns: Iterable[Turn]) -> list[Turn]:
    """Join turns of the same speaker that touch."""
    joined: list[Turn] = []
    for t in sorted(turns):
        if joined and joined[-1].speaker == t.speaker and joined[-1].end_ms == t.start_ms:
            joined[-1] = joined[-1]._replace(end_ms=t.end_ms)
        else:
            joined.append(t)
    return joined


def sum_speaking_ms(turns: Iterable[Turn]) -> dict[str, int]:
    """{speaker: total speaking time in ms}, longest first."""
    total: dict[str, int] = {}
    for t in turns:
        total[t.speaker] = total.get(t.speaker, 0) + t.end_ms - t.start_ms
    return dict(sorted(total.items(), key=lambda row: (-row[1], row[0])))
