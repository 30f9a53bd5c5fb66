"""Deemo speakers."""

from __future__ import annotations

import json
from typing import Any

from deemo_data.clip import Clip
from deemo_data.errors import ConfigError
from deemo_data.pipeline import store
from deemo_data.project import speakers
from deemo_data.project.clips import source_facts_of
from deemo_data.project.project import Project
from deemo_data.stages.detect.diarise import Diarise
from deemo_data.tracks.turns import Turn


def list_speakers(project: Project) -> list[tuple[Clip, list[Turn] | None]]:
    """Each source that has clips, and who speaks when in it; None where that is not made yet, or not anew after a change."""
    diarise = next(s for s in project.config.attempts[0] if isinstance(s, Diarise))
    wholes = {c.source: source_facts_of(c).whole() for c in project.clips()}
    found: list[tuple[Clip, list[Turn] | None]] = []
    for whole in wholes.values():
        made = store.find(diarise, whole, project.store, project.secret)
        rows = json.loads(made.path("turns").read_text())["turns"] if made else None
        found.append((whole, None if rows is None else [Turn(**row) for row in rows]))
    return found


def set_speakers(project: Project, source: str, **said: Any) -> None:
    """Write down what a person says of a source's speakers (speakers.change); the next run goes by it."""
    with project.locked():
        known = {whole.source: whole for whole, _ in list_speakers(project)}
        if source not in known:
            raise ConfigError(f"there is no source {source!r} with clips", f"Sources: {', '.join(known) or 'none yet'}")
        before = known[source].facts["speakers_said"]
        speakers.write(project.root, source, speakers.change(before, duration_ms=known[source].end_ms, **said))
