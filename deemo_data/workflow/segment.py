"""`deemo segment`: sources.jsonl to clips.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

from deemo_data.clip import Clip, write_clips
from deemo_data.pipeline import run, store
from deemo_data.pipeline.cluster import hired
from deemo_data.pipeline.run import Watcher
from deemo_data.project import release
from deemo_data.project.clips import read_known_clips, stage_outputs_of
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project
from deemo_data.project.withdrawals import erase_withdrawn_since
from deemo_data.stages.detect.segment import Segment


def segment(
    project: Project,
    *,
    workers: int = 2,
    ray: str | None = None,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[list[Clip], list[Problem]]:
    """Segment: sources.jsonl to clips.jsonl. A clip that was there with the same span keeps what was made of it."""
    how, secret, sources = project.config.segment, project.secret, project.sources()
    asked = [s for s in sources if not s.facts["spans"]]
    with hired(ray, project.store) as cluster:
        _, failures = run.run_stages(
            [how], asked, store_dir=project.store, secret=secret, workers=workers, watcher=watcher, cluster=cluster
        )
    failed = {f.clip.source for f in failures}
    missing = [Problem(Path(f.clip.files["source"].path).name, "segment", f.reason, f.advice) for f in failures]
    could = {s.source for s in sources} - failed
    found = [c for s in sources if s.source in could for c in clips_of_source(s, how, project.store, secret)]
    with project.locked():
        gone = erase_withdrawn_since(project, sources)
        missing = [m for f, m in zip(failures, missing, strict=True) if f.clip.source not in gone]
        found = [c for c in found if c.source not in gone]
        before = {c.id: c for c in read_known_clips(project)}
        clips = [before.get(c.id, c) for c in found] + [c for c in before.values() if c.source not in could]
        write_clips(map(stage_outputs_of, clips), project.root / "clips.jsonl")
        project.write_report("segment.json", [vars(m) for m in missing])
        now = {c.id for c in clips}
        release.take_back(clips, project, gone=[c for c in before.values() if c.id not in now])
    return clips, missing


def clips_of_source(source: Clip, how: Segment, store_dir: Path, secret: bytes) -> list[Clip]:
    """The clips of one source: the spans its CSV gave, just as given, else those that `how` finds (once, then stored)."""
    spans = source.facts.get("spans") or []
    if not spans:
        spans = json.loads(store.apply(how, source, store_dir, secret).path("spans").read_text())
    grid = source.grid
    frames = sorted({(grid.frame_at(s), min(grid.frame_at(e), grid.frames)) for s, e in spans})
    return [Clip.of_span(source, grid.ms_at(a), grid.ms_at(b)) for a, b in frames if a < b]
