"""`deemo speakers`: shows who speaks when in each source, and records corrections (project/speakers.py)."""

from __future__ import annotations

import json
from typing import Any

from deemo_data.clip import Clip
from deemo_data.errors import ConfigError
from deemo_data.pipeline import store
from deemo_data.project import speakers
from deemo_data.project.clips import read_project_clips, source_facts_of
from deemo_data.project.project import Project
from deemo_data.stages.detect.diarise import Diarise
from deemo_data.tracks.turns import Turn


def list_speakers(project: Project) -> list[tuple[Clip, list[Turn] | None]]:
    """Each source that has clips, with its speaker turns; None where they are not computed under the current corrections."""
    diarise = next(s for s in project.config.attempts[0] if isinstance(s, Diarise))
    sources = {c.source: source_facts_of(c).source_clip() for c in read_project_clips(project)}
    result: list[tuple[Clip, list[Turn] | None]] = []
    for source in sources.values():
        outputs = store.find_outputs(diarise, source, project.store_dir, project.secret)
        rows = json.loads(outputs.path("turns").read_text())["turns"] if outputs else None
        result.append((source, None if rows is None else [Turn(**row) for row in rows]))
    return result


def set_speakers(project: Project, source_id: str, **changes: Any) -> None:
    """Change the corrections of a source's speakers (`speakers.change_speakers`); the next run applies them.

    Raises ConfigError for a source without clips.
    """
    with project.lock():
        sources = {source.source: source for source, _ in list_speakers(project)}
        if source_id not in sources:
            raise ConfigError(f"there is no source {source_id!r} with clips", f"Sources: {', '.join(sources) or 'none yet'}")
        source = sources[source_id]
        corrections = speakers.change_speakers(source.facts["speakers_said"], duration_ms=source.end_ms, **changes)
        speakers.write_speakers(project.root, source_id, corrections)
