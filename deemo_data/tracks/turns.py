"""Speaker turns: merge, paint over, how long each speaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from deemo_data.clip import Facts

NOBODY = "-"


class Turn(NamedTuple):
    """One speaker's, half-open, in ms on the source's clock."""

    start_ms: int
    end_ms: int
    speaker: str


def letter(number: int) -> str:
    """A .. Z, then AA, AB ... for 0, 1, 2 ..."""
    name = ""
    while number >= 0:
        number, rest = divmod(number, 26)
        name, number = ascii_uppercase[rest] + name, number - 1
    return name


# ── put into effect ──────────────────────────────────────────────────────────────────────────────────────────────


def resolve(merge: dict[str, str], name: str) -> str:
    """Who a letter is in the end."""
    seen = {name}
    while (name := merge.get(name, name)) not in seen:
        seen.add(name)
    return name


def corrected(machine: Iterable[Turn], what: Facts) -> list[Turn]:
    """The machine's turns, which lie apart, as a person would have them: merged first, then the person's own turns over them."""
    merge = what.get("merge") or {}
    renamed = [t._replace(speaker=resolve(merge, t.speaker)) for t in machine]
    own = [Turn(s, e, resolve(merge, who)) for s, e, who in what.get("turns") or []]
    return joined(t for t in painted(renamed, own) if t.speaker != NOBODY)


def painted(under: Sequence[Turn], over: Iterable[Turn]) -> list[Turn]:
    """`over` laid on `under`, the later over the earlier: sorted, apart, no moment lost and none said twice."""
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


def joined(turns: Iterable[Turn]) -> list[Turn]:
    """Turns of one speaker that touch are one."""
    found: list[Turn] = []
    for t in sorted(turns):
        if found and found[-1].speaker == t.speaker and found[-1].end_ms == t.start_ms:
            found[-1] = found[-1]._replace(end_ms=t.end_ms)
        else:
            found.append(t)
    return found


def spoken_ms(turns: Iterable[Turn]) -> dict[str, int]:
    """{speaker: how long they speak}, who speaks most first."""
    total: dict[str, int] = {}
    for t in turns:
        total[t.speaker] = total.get(t.speaker, 0) + t.end_ms - t.start_ms
    return dict(sorted(total.items(), key=lambda row: (-row[1], row[0])))
