"""Collects the notices of all sources and clips: what deemo left out, guessed or changed. Writes out/notices.json.

Ingest leaves notices in sources.jsonl, the stages leave them in clips.jsonl. Ingest, segment and run call `write_notices` at
their end, and `deemo status` reads the same two lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deemo_data.clip import iterate_clips
from deemo_data.notices import Notice, notices_of_facts
from deemo_data.project.project import Project

REPORT_NAME = "notices.json"


@dataclass(frozen=True)
class PlacedNotice:
    """A notice with the source or clip that it is about.

    level  whether it is about a whole source, or one clip
    id     of the source or clip
    where  what people know it by: the file name of the source, or the id of the clip
    """

    level: Literal["source", "clip"]
    id: str
    where: str
    notice: Notice


@dataclass(frozen=True)
class NoticeGroup:
    """All notices of one kind on one level: how many sources or clips have one, and the first of them."""

    level: Literal["source", "clip"]
    count: int
    first: PlacedNotice

    def __str__(self) -> str:
        counted = f"{self.count} {self.level}" + ("s" if self.count > 1 else "")
        example = "" if self.count == 1 else "for example "
        return f"{self.first.notice.subject}, {counted}: {example}{self.first.where}: {self.first.notice.text}"


def iterate_notices(project: Project) -> Iterator[PlacedNotice]:
    """The notices of all sources, then of all clips, in the order of the lists. Clips of dropped sources are left out."""
    sources = {}
    if (project.root / "sources.jsonl").exists():
        for source in project.read_sources():
            sources[source.source] = source.path("source").name
            for notice in notices_of_facts(source.facts):
                yield PlacedNotice("source", source.source, sources[source.source], notice)
    if (project.root / "clips.jsonl").exists():
        for clip in iterate_clips(project.root / "clips.jsonl"):
            if clip.source in sources:
                for notice in notices_of_facts(clip.facts):
                    yield PlacedNotice("clip", clip.id, clip.id, notice)


def group_notices(project: Project) -> list[NoticeGroup]:
    """One group for each level and kind, in the order in which they first appear."""
    firsts: dict[tuple[str, str], PlacedNotice] = {}
    ids: dict[tuple[str, str], set[str]] = {}
    for placed in iterate_notices(project):
        key = placed.level, placed.notice.kind
        firsts.setdefault(key, placed)
        ids.setdefault(key, set()).add(placed.id)
    return [NoticeGroup(first.level, len(ids[key]), first) for key, first in firsts.items()]


def write_notices(project: Project) -> None:
    """Write out/notices.json: how many sources and clips have a notice of each kind, and every notice. For the owner only."""
    counts: dict[str, dict[str, int]] = {"source": {}, "clip": {}}
    for group in group_notices(project):
        counts[group.level][group.first.notice.kind] = group.count
    lines = [
        {p.level: p.id, **({"file": p.where} if p.level == "source" else {}), **p.notice.to_fact()}
        for p in iterate_notices(project)
    ]
    report = {"sources_by_kind": counts["source"], "clips_by_kind": counts["clip"], "notices": lines}
    project.write_report(REPORT_NAME, report)
