"""`deemo segment`: sources.jsonl in, clips.jsonl out.

A source is cut by the spans of its table, or, where it has none, by the stage Segment (speech turns and shots).
"""

from __future__ import annotations

import json
from pathlib import Path

from deemo_data.clip import Clip, write_clips
from deemo_data.pipeline import run, store
from deemo_data.pipeline.cluster import optional_cluster
from deemo_data.pipeline.run import SILENT_WATCHER, Watcher
from deemo_data.project import notices, release
from deemo_data.project.clips import read_clips_if_any, stage_outputs_of
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project
from deemo_data.project.withdrawals import erase_withdrawn_since
from deemo_data.stages.detect.segment import Segment


def segment_sources(
    project: Project,
    *,
    workers: int = 2,
    ray: str | None = None,
    watcher: Watcher = SILENT_WATCHER,
) -> tuple[list[Clip], list[Problem]]:
    """Cut all sources into clips; the clips, and the sources that could not be cut, which keep the clips they have.

    A clip that was there before with the same span keeps the results of its stages. Clips that are no longer cut are taken back
    from out/. `workers` and `ray` as in `run_project`.
    """
    settings, sources = project.config.segment, project.read_sources()
    without_spans = [s for s in sources if not s.facts["spans"]]
    with optional_cluster(ray, project.store_dir) as cluster:
        _, failures = run.run_stages(
            [settings], without_spans, store_dir=project.store_dir, secret=project.secret, workers=workers, watcher=watcher,
            cluster=cluster,
        )  # fmt: skip
    problems = [Problem(Path(f.clip.files["source"].path).name, "segment", f.reason, f.advice) for f in failures]
    cut = {s.source for s in sources} - {f.clip.source for f in failures}
    new = [c for s in sources if s.source in cut for c in cut_source_into_clips(s, settings, project.store_dir, project.secret)]
    with project.lock():
        withdrawn = erase_withdrawn_since(project, sources)
        problems = [p for f, p in zip(failures, problems, strict=True) if f.clip.source not in withdrawn]
        before = {c.id: c for c in read_clips_if_any(project)}
        clips = [before.get(c.id, c) for c in new if c.source not in withdrawn]
        clips += [c for c in before.values() if c.source not in cut]
        write_clips(map(stage_outputs_of, clips), project.root / "clips.jsonl")
        project.write_report("segment.json", [vars(p) for p in problems])
        ids = {c.id for c in clips}
        release.take_back_clips(clips, project, dropped=[c for c in before.values() if c.id not in ids])
        notices.write_notices(project)
    return clips, problems


def cut_source_into_clips(source: Clip, settings: Segment, store_dir: Path, secret: bytes) -> list[Clip]:
    """The clips of one source: by the spans of its table, or by those that the stage finds, which the store keeps."""
    spans = source.facts.get("spans") or []
    if not spans:
        spans = json.loads(store.apply_stage(settings, source, store_dir, secret).path("spans").read_text())
    grid = source.grid
    frames = sorted({(grid.frame_at(s), min(grid.frame_at(e), grid.frames)) for s, e in spans})
    return [Clip.of_span(source, grid.ms_at(a), grid.ms_at(b)) for a, b in frames if a < b]
