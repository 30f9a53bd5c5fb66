"""Channel body: identification by body points, those that were tracked and those that are published."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deemo_data.audit.material import ChannelResult, Material, ResultLine
from deemo_data.audit.voice import HALVED_NOTE
from deemo_data.reports.privacy_verdict import UNPROTECTED

if TYPE_CHECKING:
    from deemo_data.audit.attacks.body import Track
    from deemo_data.clip import Clip


def attack_body(material: Material) -> ChannelResult:
    """Identify subjects by body points alone: all tracked points (before), and the published ones of each profile."""
    from deemo_data.audit.attacks import body as attacks

    subjects = material.subjects
    halve = len(set(subjects)) == len(subjects)
    tracked = [t for c in material.clips for t in split_in_halves(read_track(c, "body", "picture"), halve)]
    lines: dict[str, ResultLine] = {}
    result = ChannelResult(notes=[HALVED_NOTE] if halve else [])
    for profile, side in material.sides.items():
        public = [
            t for c in side for t in split_in_halves(read_track(c, "public_body", c.facts.get("body_unit", "picture")), halve)
        ]
        for row in attacks.attack_bodies(tracked, public):
            name = "the best of them" if row.scenario == "highest" else row.attacker
            attack = "highest" if row.scenario == "highest" else "body points"
            line = lines.setdefault(f"{attack} {name}", ResultLine(attack, name, row.measure, {}, "low", "", row.note))
            line.cells[UNPROTECTED if row.scenario == "tracked" else profile] = row.score
            if row.scenario == "highest" and row.score:
                result.notes.append(f"The highest rank-1 on {profile} is that of {row.attacker}.")
    result.lines = list(lines.values())
    if best := lines.get("highest the best of them"):
        unprotected_scores = [score for line in result.lines if line is not best and (score := line.cells.get(UNPROTECTED))]
        best.cells[UNPROTECTED] = max(unprotected_scores, key=lambda s: s.value, default=None)
    return result


def read_track(clip: Clip, name: str, unit: str) -> Track:
    from deemo_data.audit.attacks.body import Track

    grid = clip.grid
    aspect = grid.width / grid.height if unit == "picture" else 1.0
    return Track.read(clip.facts["subject"], clip.path(name), float(grid.fps), aspect, clip.id)


def split_in_halves(track: Track, halve: bool) -> list[Track]:
    """With `halve`, one track as two clips; otherwise the track itself."""
    if not halve:
        return [track]
    middle, points, sure = len(track.body.points) // 2, track.body.points, track.body.confidence
    bodies = [type(track.body)(points[:middle], sure[:middle]), type(track.body)(points[middle:], sure[middle:])]
    return [replace(track, clip=f"{track.clip}/{n}", body=part) for n, part in enumerate(bodies)]
