"""corrections/speakers.json: what a person stated about the speakers of a source, and how the terminal shows speakers.

    {source id: {"count": 2, "merge": {"B": "A"}, "roles": {"A": "interviewer"}, "turns": [[start_ms, end_ms, "A"], ...]}}

Every key is optional. Speakers are named by letters, in the order in which they are first heard. The stage Diarise (count, merge,
turns) and the stage AssignRoles (roles) read these corrections, as the fact `speakers_said` of a clip.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from deemo_data.clip import Facts
from deemo_data.errors import ConfigError, ProjectError
from deemo_data.files import parse_json, write_if_changed
from deemo_data.tracks.turns import NOBODY, Turn, overlay_turns, resolve_speaker, sum_speaking_ms

ROLES = ("subject", "interviewer", "bystander")
MAX_SPEAKERS = 20  # in one source; --count allows no more
_NAME = re.compile(r"[A-Z]{1,2}")
_TIME = r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d{1,3})?)"
_TURN = re.compile(rf"{_TIME}-{_TIME}=(\S+)")


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def speakers_path(project_root: Path) -> Path:
    return project_root / "corrections" / "speakers.json"


def read_speakers(project_root: Path) -> dict[str, Facts]:
    """{source id: corrections}; empty when there are none. Raises ProjectError for a file that does not have this form."""
    path = speakers_path(project_root)
    try:
        table = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise ProjectError(f"{path.name} is not JSON: {problem}", f"Mend or remove {path}") from problem
    if not isinstance(table, dict):
        raise ProjectError(f"{path.name} is not a table of sources", f"Mend or remove {path}")
    for source, row in table.items():
        _check_corrections(row, f"{path.name}, source {source}", f"Mend or remove {path}")
    return table


def write_speakers(project_root: Path, source: str, corrections: Facts) -> bool:
    """Replace the corrections of one source; {} removes them. Returns whether the file changed."""
    path = speakers_path(project_root)
    table = {**read_speakers(project_root), source: corrections}
    path.parent.mkdir(exist_ok=True)
    table = {s: row for s, row in table.items() if row}
    return write_if_changed(path, json.dumps(table, indent=1, sort_keys=True) + "\n", mode=0o600)


def _check_corrections(corrections: object, where: str, advice: str) -> None:
    def require(holds: bool) -> None:
        if not holds:
            raise ProjectError(f"{where}: it does not say what speakers.json says", advice)

    require(isinstance(corrections, dict) and set(corrections) <= {"count", "merge", "roles", "turns"})
    parts: Facts = dict(corrections) if isinstance(corrections, dict) else {}
    count, merge, roles, turns = (parts.get(k) for k in ("count", "merge", "roles", "turns"))
    require(count is None or (type(count) is int and 1 <= count <= MAX_SPEAKERS))
    require(merge is None or (isinstance(merge, dict) and all(_is_name(b) and _is_name(a) for b, a in merge.items())))
    require(roles is None or (isinstance(roles, dict) and all(_is_name(s) and r in ROLES for s, r in roles.items())))
    require(turns is None or (isinstance(turns, list) and all(_is_turn(t) for t in turns)))


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


# ── changes ────────────────────────────────────────────────────────────────────────────────────────────────────


def change_speakers(
    before: Facts,
    *,
    count: int | None = None,
    merge: Sequence[str] = (),
    roles: Sequence[str] = (),
    turns: Sequence[str] = (),
    duration_ms: int | None = None,
) -> Facts:
    """The corrections of a source after the options of `deemo speakers` are applied to the ones before.

    count        the number of speakers; 0 lets the stage Diarise estimate it again
    merge        "B=A": speaker B is speaker A
    roles        "A=interviewer"; a new subject turns the old one into an interviewer
    turns        "12.5-14=A", "1:02:03.25-1:02:04=B", "3-4=-" (nobody): they replace what the turns were there
    duration_ms  of the source: no turn may end later

    Raises ConfigError for an option that has no meaning.
    """
    after: Facts = {k: (v.copy() if isinstance(v, dict | list) else v) for k, v in before.items()}
    if count is not None:
        if not 0 <= count <= MAX_SPEAKERS:
            raise ConfigError(
                f"{count} is not a number of speakers", f"Type a number from 1 to {MAX_SPEAKERS}, or 0 to leave it open"
            )
        after["count"] = count or None
    for text in merge:
        one, other = _parse_pair(text, "--merge", "B=A")
        _check_name(one, text), _check_name(other, text)
        table = after.setdefault("merge", {})
        target = resolve_speaker(table, other)
        if target == one:
            raise ConfigError(f"--merge {text}: {one} and {other} are one speaker already, or the same", "Type, say: --merge B=A")
        table[one] = target
        after["merge"] = {b: resolve_speaker(table, b) for b in table}
    for text in roles:
        speaker, role = _parse_pair(text, "--role", "A=interviewer")
        _check_name(speaker, text)
        if role not in ROLES:
            raise ConfigError(f"--role {text}: {role} is no role", f"Roles: {', '.join(ROLES)}")
        table = after.setdefault("roles", {})
        if role == "subject":
            table.update({w: "interviewer" for w, r in table.items() if r == "subject"})
        table[speaker] = role
    if turns:
        rows = [Turn(*t) for t in after.get("turns", [])]
        for text in turns:
            rows = overlay_turns(rows, [_parse_turn(text, duration_ms)])
        after["turns"] = [list(t) for t in rows]
    return {k: v for k, v in after.items() if v}


def _parse_pair(text: str, option: str, example: str) -> tuple[str, str]:
    one, is_pair, other = (part.strip() for part in text.partition("="))
    if not (is_pair and one and other):
        raise ConfigError(f"{option} {text} is not of the form {example}", f"Type, say: {option} {example}")
    return one, other


def _check_name(name: str, text: str, nobody: bool = False) -> str:
    if not (_NAME.fullmatch(name) or (nobody and name == NOBODY)):
        raise ConfigError(f"{text}: {name} is not a speaker", "Speakers are the letters A, B, C ...")
    return name


def _parse_turn(text: str, duration_ms: int | None) -> Turn:
    match = _TURN.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"--turn {text} is not of the form START-END=A", "Type, say: --turn 12.5-14=A or --turn 1:02-1:05.5=B")
    start, end = _to_ms(*match.group(1, 2, 3)), _to_ms(*match.group(4, 5, 6))
    if start >= end:
        raise ConfigError(f"--turn {text} ends before it begins", "Times are seconds, or minutes:seconds")
    if duration_ms is not None and end > duration_ms:
        raise ConfigError(
            f"--turn {text} ends after the source does, at {format_time(duration_ms)}", "Times are those of the source"
        )
    return Turn(start, end, _check_name(match.group(7), text, nobody=True))


def _to_ms(hours: str | None, minutes: str | None, seconds: str) -> int:
    integer, _, fraction = seconds.partition(".")
    return ((int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(integer)) * 1000 + int(fraction.ljust(3, "0") or 0)


# ── on the terminal ──────────────────────────────────────────────────────────────────────────────────────────────


def render_turns(turns: Iterable[Turn], roles: dict[str, str], duration_ms: int, width: int = 60) -> str:
    """One bar per speaker. Each character is 1/width of the source: █ speaks for half of it or more, ▂ for less, · not at all.

       0:00                                                  0:30
    A  ····███████▂▂███████████████····█████████   0:21   70 %  subject
    B  ···········▂▂···············███···········  0:09   30 %  interviewer
    """
    turns = list(turns)
    speaking_ms = sum_speaking_ms(turns)
    if not speaking_ms or duration_ms <= 0:
        return "nobody speaks\n"
    total_ms = sum(speaking_ms.values())
    end = format_time(duration_ms)
    lines = [f"    {format_time(0)}{end:>{max(width - len(format_time(0)), len(end) + 1)}}"]
    edges = [duration_ms * i // width for i in range(width + 1)]
    for speaker in sorted(speaking_ms, key=lambda w: (len(w), w)):
        speaker_turns = [t for t in turns if t.speaker == speaker]
        bar = "".join(_bar_character(speaker_turns, a, b) for a, b in pairwise(edges))
        share = f"{100 * speaking_ms[speaker] / total_ms:3.0f} %"
        lines.append(f"{speaker:<3} {bar}  {format_time(speaking_ms[speaker]):>7} {share}  {roles.get(speaker, '')}".rstrip())
    return "\n".join(lines) + "\n"


def _bar_character(turns: Sequence[Turn], start: int, end: int) -> str:
    overlap_ms = sum(max(0, min(t.end_ms, end) - max(t.start_ms, start)) for t in turns)
    return "·" if not overlap_ms else "█" if 2 * overlap_ms >= end - start else "▂"


def format_time(ms: int) -> str:
    """Minutes and seconds, with hours where there are any: 1:05, 1:02:03. Half a second rounds up."""
    seconds = (ms + 500) // 1000
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
