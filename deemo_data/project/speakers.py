"""Corrections/speakers.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from deemo_data.clip import Facts
from deemo_data.errors import ConfigError, ProjectError
from deemo_data.files import parse_json, write_if_changed
from deemo_data.tracks.turns import NOBODY, Turn, painted, resolve, spoken_ms

ROLES = ("subject", "interviewer", "bystander")
MOST = 20  # speakers a person may count
_NAME = re.compile(r"[A-Z]{1,2}")
_TIME = r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d{1,3})?)"
_TURN = re.compile(rf"{_TIME}-{_TIME}=(\S+)")


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def path_in(project: Path) -> Path:
    return project / "corrections" / "speakers.json"


def said(project: Path) -> dict[str, Facts]:
    """{source id: what was said of it}; empty when nothing ever was. Raises ProjectError for a file that is not ours."""
    path = path_in(project)
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise ProjectError(f"{path.name} is not JSON: {problem}", f"Mend or remove {path}") from problem
    if not isinstance(found, dict):
        raise ProjectError(f"{path.name} is not a table of sources", f"Mend or remove {path}")
    for source, what in found.items():
        _check(what, f"{path.name}, source {source}", f"Mend or remove {path}")
    return found


def write(project: Path, source: str, what: Facts) -> bool:
    """Keep what was said of one source ({}: nothing any more); whether that changed the file."""
    path = path_in(project)
    whole = {**said(project), source: what}
    path.parent.mkdir(exist_ok=True)
    kept = {s: w for s, w in whole.items() if w}
    return write_if_changed(path, json.dumps(kept, indent=1, sort_keys=True) + "\n", mode=0o600)


def _check(what: object, where: str, advice: str) -> None:
    def right(fits: bool) -> None:
        if not fits:
            raise ProjectError(f"{where}: it does not say what speakers.json says", advice)

    right(isinstance(what, dict) and set(what) <= {"count", "merge", "roles", "turns"})
    parts: Facts = dict(what) if isinstance(what, dict) else {}
    count, merge, roles, turns = (parts.get(k) for k in ("count", "merge", "roles", "turns"))
    right(count is None or (type(count) is int and 1 <= count <= MOST))
    right(merge is None or (isinstance(merge, dict) and all(_is_name(b) and _is_name(a) for b, a in merge.items())))
    right(roles is None or (isinstance(roles, dict) and all(_is_name(s) and r in ROLES for s, r in roles.items())))
    right(turns is None or (isinstance(turns, list) and all(_is_turn(t) for t in turns)))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _is_turn(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 3
        and type(row[0]) is type(row[1]) is int
        and 0 <= row[0] < row[1]
        and (row[2] == NOBODY or _is_name(row[2]))
    )


# ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────


def change(
    before: Facts,
    *,
    count: int | None = None,
    merge: Sequence[str] = (),
    roles: Sequence[str] = (),
    turns: Sequence[str] = (),
    duration_ms: int | None = None,
) -> Facts:
    """What is said of a source, after something more was.

    count   speakers; 0 leaves it to the machine again
    merge   "B=A": B is A
    roles   "A=interviewer"; a new subject makes the old one an interviewer
    turns   "12.5-14=A", "1:02:03.25-1:02:04=B", "3-4=-" (nobody)

    Raises ConfigError for what cannot be meant.
    """
    after: Facts = {k: (v.copy() if isinstance(v, dict | list) else v) for k, v in before.items()}
    if count is not None:
        if not 0 <= count <= MOST:
            raise ConfigError(f"{count} is not a number of speakers", f"Type a number from 1 to {MOST}, or 0 to leave it open")
        after["count"] = count or None
    for text in merge:
        one, other = _pair(text, "--merge", "B=A")
        _name(one, text), _name(other, text)
        table = after.setdefault("merge", {})
        goal = resolve(table, other)
        if goal == one:
            raise ConfigError(f"--merge {text}: {one} and {other} are one speaker already, or the same", "Type, say: --merge B=A")
        table[one] = goal
        after["merge"] = {b: resolve(table, b) for b in table}
    for text in roles:
        who, role = _pair(text, "--role", "A=interviewer")
        _name(who, text)
        if role not in ROLES:
            raise ConfigError(f"--role {text}: {role} is no role", f"Roles: {', '.join(ROLES)}")
        table = after.setdefault("roles", {})
        if role == "subject":
            table.update({w: "interviewer" for w, r in table.items() if r == "subject"})
        table[who] = role
    if turns:
        rows = [Turn(*t) for t in after.get("turns", [])]
        for text in turns:
            rows = painted(rows, [_turn(text, duration_ms)])
        after["turns"] = [list(t) for t in rows]
    return {k: v for k, v in after.items() if v}


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    one, is_pair, other = (part.strip() for part in text.partition("="))
    if not (is_pair and one and other):
        raise ConfigError(f"{option} {text} is not of the form {example}", f"Type, say: {option} {example}")
    return one, other


def _name(name: str, text: str, nobody: bool = False) -> str:
    if not (_NAME.fullmatch(name) or (nobody and name == NOBODY)):
        raise ConfigError(f"{text}: {name} is not a speaker", "Speakers are the letters A, B, C ...")
    return name


def _turn(text: str, duration_ms: int | None) -> Turn:
    found = _TURN.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"--turn {text} is not of the form START-END=A", "Type, say: --turn 12.5-14=A or --turn 1:02-1:05.5=B")
    start, end = _ms(*found.group(1, 2, 3)), _ms(*found.group(4, 5, 6))
    if start >= end:
        raise ConfigError(f"--turn {text} ends before it begins", "Times are seconds, or minutes:seconds")
    if duration_ms is not None and end > duration_ms:
        raise ConfigError(f"--turn {text} ends after the source does, at {clock(duration_ms)}", "Times are those of the source")
    return Turn(start, end, _name(found.group(7), text, nobody=True))


def _ms(hours: str | None, minutes: str | None, seconds: str) -> int:
    whole, _, part = seconds.partition(".")
    return ((int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(whole)) * 1000 + int(part.ljust(3, "0") or 0)


# ── on the terminal ──────────────────────────────────────────────────────────────────────────────────────────────


def show(turns: Iterable[Turn], roles: dict[str, str], duration_ms: int, width: int = 60) -> str:
    """A bar a speaker: █ speaks through half of that stretch or more, ▂ less, · not.

       0:00                                                  0:30
    A  ····███████▂▂███████████████····█████████   0:21   70 %  subject
    B  ···········▂▂···············███···········  0:09   30 %  interviewer
    """
    turns = list(turns)
    total = spoken_ms(turns)
    if not total or duration_ms <= 0:
        return "nobody speaks\n"
    all_of_it = sum(total.values())
    end = clock(duration_ms)
    lines = [f"    {clock(0)}{end:>{max(width - len(clock(0)), len(end) + 1)}}"]
    edges = [duration_ms * i // width for i in range(width + 1)]
    for who in sorted(total, key=lambda w: (len(w), w)):
        own = [t for t in turns if t.speaker == who]
        bar = "".join(_block(own, a, b) for a, b in pairwise(edges))
        share = f"{100 * total[who] / all_of_it:3.0f} %"
        lines.append(f"{who:<3} {bar}  {clock(total[who]):>7} {share}  {roles.get(who, '')}".rstrip())
    return "\n".join(lines) + "\n"


def _block(turns: Sequence[Turn], start: int, end: int) -> str:
    inside = sum(max(0, min(t.end_ms, end) - max(t.start_ms, start)) for t in turns)
    return "·" if not inside else "█" if 2 * inside >= end - start else "▂"


def clock(ms: int) -> str:
    """1:05, 1:02:03; halves of a second go up."""
    seconds = (ms + 500) // 1000
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
