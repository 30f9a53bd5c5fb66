"""THE ONE DOOR: release, take back."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from deemo_data.clip import Clip, SafeClip
from deemo_data.consent import has_consent
from deemo_data.dataset.layout import clear
from deemo_data.errors import NotReleasable, StageError
from deemo_data.files import File, link_or_copy, sync_to_disk
from deemo_data.pipeline import store
from deemo_data.project import corrections
from deemo_data.pseudonyms import public_id

if TYPE_CHECKING:
    from deemo_data.project.project import Project


PUBLIC_FILES = {  # name here -> name and ending outside
    "safe": ("video", ".mp4"),
    "public_body": ("body", ".body.parquet"),
    "prosody": ("prosody", ".prosody.parquet"),
}
PUBLIC_FACTS = (
    "grid", "subject", "subject_assumed", "consent", "licence", "transcript", "body_unit", "proposals", "leaks_summary",
)  # fmt: skip


def may_go(clip: Clip, project: Project) -> None:
    """Raises NotReleasable, saying why and what to do, unless the leak check has passed and consent is on record."""
    if not has_consent(clip):
        advice = f'Add a consent column to the CSV, or type: deemo ingest {project.root} SOURCES --consent "WORDS"'
        raise NotReleasable(f"clip {clip.id}: no consent is on record for its source", advice)
    if corrections.is_withheld(project.root, clip):
        raise NotReleasable(f"clip {clip.id}: its owner withholds it", f"To change that, type: deemo review {project.root}")
    if lacking := [n for n in PUBLIC_FILES if n not in clip.files or not os.path.exists(clip.files[n].path)]:
        raise NotReleasable(f"clip {clip.id} is not made yet (no {' and no '.join(lacking)})", f"Type: deemo run {project.root}")
    if "leaks" not in clip.files:
        raise NotReleasable(f"clip {clip.id}: the leak check has not looked at it", f"Type: deemo run {project.root}")
    if clip.facts.get("leaks_passed") is not True:
        raise NotReleasable(f"clip {clip.id}: {leaks_of(clip)}", "It stays here: see docs/privacy.md")


def release(clip: Clip, project: Project) -> SafeClip:
    """The clip as strangers may see it: other names, the public files as links below out/released/clips, nothing else.

    Raises NotReleasable (see `may_go`), also for a file that is not any more what was made, to the byte.
    """
    may_go(clip, project)
    try:
        for inside in (*PUBLIC_FILES, "leaks"):
            store.check_made(clip, inside)
    except StageError as e:
        raise NotReleasable(e.what, f"Type: deemo run {project.root}, which makes it anew") from e
    outside = public_id(project.secret, "c", clip.id)
    files = {}
    for inside, (name, ending) in PUBLIC_FILES.items():
        there = project.released / f"{outside}{ending}"
        link_or_copy(clip.path(inside), there, clip.files[inside].sha256)
        files[name] = File(str(there), clip.files[inside].sha256)
    facts = {n: clip.facts.get(n) for n in PUBLIC_FACTS}
    facts["leaks"] = facts.pop("leaks_summary")
    return SafeClip(Clip(outside, public_id(project.secret, "v", clip.source), clip.start_ms, clip.end_ms, files, facts))


def release_all(clips: Iterable[Clip], project: Project) -> tuple[list[SafeClip], list[tuple[Clip, NotReleasable]]]:
    """Every clip that may go, and the others with their reason. What may no longer go is taken back from out/released."""
    safe: list[SafeClip] = []
    kept: list[tuple[Clip, NotReleasable]] = []
    for clip in clips:
        try:
            safe.append(release(clip, project))
        except NotReleasable as e:
            kept.append((clip, e))
    _sweep(str(project.served), {f.path for s in safe for f in s.files.values()})
    for folder in (project.served, project.released):
        if folder.is_dir():
            sync_to_disk(folder)
    return safe, kept


def _sweep(folder: str, wanted: Container[str]) -> None:
    """Remove all links, and all files that are not wanted, below a folder."""
    try:
        inside = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in inside:
        if entry.is_dir(follow_symlinks=False):
            _sweep(entry.path, wanted)
        elif entry.is_symlink() or entry.path not in wanted:
            os.unlink(entry.path)


def take_back(clips: Iterable[Clip], project: Project, gone: Iterable[Clip] = ()) -> None:
    """Remove from out/ at once what may no longer go: clips that are `gone`, refused by the leak check, or without consent."""
    refused = [*gone] + [c for c in clips if c.facts.get("leaks_passed") is False or not has_consent(c)]
    names = [public_id(project.secret, "c", c.id) for c in refused]
    for name in names:
        for _, ending in PUBLIC_FILES.values():
            (project.released / f"{name}{ending}").unlink(missing_ok=True)
    if names and project.released.is_dir():
        sync_to_disk(project.released)
    if any(path for name in names for path in project.dataset.glob(f"*/clips/{name}.mp4")):
        clear(project.dataset)  # its tables hold the clip too; the next export makes it anew


def leaks_of(clip: Clip) -> str:
    found = json.loads(clip.path("leaks").read_text())
    return (
        f"the leak check saw a face in {len(found['frames'])} of {found['looked_at']} frames, first in frame {found['frames'][0]}"
    )
