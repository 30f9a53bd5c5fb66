"""Channel body."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deemo_data.audit.material import Found, Line, Material
from deemo_data.audit.voice import HALVED
from deemo_data.reports.privacy_verdict import BEFORE

if TYPE_CHECKING:
    from deemo_data.audit.attacks.body import Track
    from deemo_data.clip import Clip


def body(material: Material) -> Found:
    """Who is it, by body points alone: by all that were tracked (before), and by those that are published."""
    from deemo_data.audit.attacks import body as attacks

    whose = material.subjects
    halve = len(set(whose)) == len(whose)
    tracked = [t for c in material.clips for t in halves(track(c, "body", "picture"), halve)]
    lines: dict[str, Line] = {}
    found = Found(notes=[HALVED] if halve else [])
    for profile, side in material.sides.items():
        public = [t for c in side for t in halves(track(c, "public_body", c.facts.get("body_unit", "picture")), halve)]
        for row in attacks.attack(tracked, public):
            name = "the best of them" if row.scenario == "highest" else row.attacker
            attack = "highest" if row.scenario == "highest" else "body points"
            line = lines.setdefault(f"{attack} {name}", Line(attack, name, row.measure, {}, "low", "", row.note))
            line.cells[BEFORE if row.scenario == "tracked" else profile] = row.score
            if row.scenario == "highest" and row.score:
                found.notes.append(f"The highest rank-1 on {profile} is that of {row.attacker}.")
    found.lines = list(lines.values())
    if best := lines.get("highest the best of them"):
        known = [score for line in found.lines if line is not best and (score := line.cells.get(BEFORE))]
        best.cells[BEFORE] = max(known, key=lambda s: s.value, default=None)
    return found


def track(clip: Clip, name: str, unit: str) -> Track:
    from deemo_data.audit.attacks.body import Track

    grid = clip.grid
    aspect = grid.width / grid.height if unit == "picture" else 1.0
    return Track.read(clip.facts["subject"], clip.path(name), float(grid.fps), aspect, clip.id)


def halves(whole: Track, halve: bool) -> list[Track]:
    """One track as two clips, if so said."""
    if not halve:
        return [whole]
    middle, points, sure = len(whole.body.points) // 2, whole.body.points, whole.body.confidence
    bodies = [type(whole.body)(points[:middle], sure[:middle]), type(whole.body)(points[middle:], sure[middle:])]
    return [replace(whole, clip=f"{whole.clip}/{n}", body=part) for n, part in enumerate(bodies)]
