"""Decides which clips may leave the project, and releases them: the only module that makes a SafeClip.

A released clip is under another name, and consists of the public files (links below out/released/clips) and the public facts.
Everything after this module (annotation, agreement, export) sees SafeClips only. `take_back_clips` undoes a release.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Container, Iterable

from deemo_data.clip import Clip, SafeClip
from deemo_data.consent import has_consent, judge_statement
from deemo_data.dataset.layout import clear_dataset
from deemo_data.errors import NotReleasable, StageError
from deemo_data.files import File, link_or_copy, sync_to_disk
from deemo_data.pipeline import store
from deemo_data.project import corrections
from deemo_data.project.clips import read_current_clips
from deemo_data.project.problems import Problem, refusals_to_problems
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id

PUBLIC_FILES = {  # name in the project -> (name in a released clip, ending of the file)
    "safe": ("video", ".mp4"),
    "public_body": ("body", ".body.parquet"),
    "prosody": ("prosody", ".prosody.parquet"),
}
PUBLIC_FACTS = (
    "grid", "subject", "subject_assumed", "consent", "licence", "transcript", "body_unit", "proposals", "leaks_summary",
)  # fmt: skip


def _advise_on_consent(clip: Clip, project: Project) -> str:
    """What the owner can do about a clip without consent. A refusal stands until its own row says otherwise."""
    if (verdict := judge_statement((clip.facts.get("consent") or {}).get("statement")).verdict) != "nothing":
        return f"The table says that it was {verdict}. Leave the source out" if verdict != "open" else "It is not decided yet"
    command = f'deemo ingest {shlex.quote(str(project.root))} SOURCES --consent "WORDS"'
    return f"Add a consent column to the CSV, or type: {command}"


def check_releasable(clip: Clip, project: Project) -> None:
    """Raise NotReleasable, with the reason and what to do, unless the clip may be released.

    It may when consent is on record, its owner does not withhold it, all its public files are made, and the leak check passed.
    """
    if not has_consent(clip):
        raise NotReleasable(f"clip {clip.id}: no consent is on record for its source", _advise_on_consent(clip, project))
    if corrections.is_withheld(project.root, clip):
        raise NotReleasable(f"clip {clip.id}: its owner withholds it", f"To change that, type: deemo review {project.root}")
    if lacking := [n for n in PUBLIC_FILES if n not in clip.files or not os.path.exists(clip.files[n].path)]:
        raise NotReleasable(f"clip {clip.id} is not made yet (no {' and no '.join(lacking)})", f"Type: deemo run {project.root}")
    if "leaks" not in clip.files:
        raise NotReleasable(f"clip {clip.id}: the leak check has not looked at it", f"Type: deemo run {project.root}")
    if clip.facts.get("leaks_passed") is not True:
        raise NotReleasable(f"clip {clip.id}: {describe_leaks(clip)}", "It stays here: see docs/privacy.md")


def release_clip(clip: Clip, project: Project) -> SafeClip:
    """The clip as it may be published: public ids, the public facts, and the public files as links below out/released/clips.

    Raises NotReleasable (see `check_releasable`), also when a file is not byte for byte the one that a stage made.
    """
    check_releasable(clip, project)
    try:
        for name in (*PUBLIC_FILES, "leaks"):
            store.check_stage_file(clip, name)
    except StageError as e:
        raise NotReleasable(e.what, f"Type: deemo run {project.root}, which makes it anew") from e
    public_id = derive_public_id(project.secret, "c", clip.id)
    files = {}
    for name, (public_name, ending) in PUBLIC_FILES.items():
        public_path = project.released_dir / f"{public_id}{ending}"
        link_or_copy(clip.path(name), public_path, clip.files[name].sha256)
        files[public_name] = File(str(public_path), clip.files[name].sha256)
    facts = {n: clip.facts.get(n) for n in PUBLIC_FACTS}
    facts["leaks"] = facts.pop("leaks_summary")
    source_id = derive_public_id(project.secret, "v", clip.source)
    return SafeClip(Clip(public_id, source_id, clip.start_ms, clip.end_ms, files, facts))


def release_clips(clips: Iterable[Clip], project: Project) -> tuple[list[SafeClip], list[tuple[Clip, NotReleasable]]]:
    """Release every clip that may go, and give the reason for the others. All other files in out/released are removed."""
    safe: list[SafeClip] = []
    refusals: list[tuple[Clip, NotReleasable]] = []
    for clip in clips:
        try:
            safe.append(release_clip(clip, project))
        except NotReleasable as e:
            refusals.append((clip, e))
    _remove_unwanted(str(project.served_dir), {f.path for s in safe for f in s.files.values()})
    for folder in (project.served_dir, project.released_dir):
        if folder.is_dir():
            sync_to_disk(folder)
    return safe, refusals


def release_current_clips(project: Project) -> tuple[list[SafeClip], list[Problem]]:
    """Release every clip of the project that may go, with its current results, and give the reason for the others.

    The caller holds `project.lock()` for as long as it uses the clips: a withdrawal then waits until they are sent or written.
    """
    safe, refusals = release_clips(read_current_clips(project), project)
    return safe, refusals_to_problems(refusals)


def _remove_unwanted(folder: str, wanted: Container[str]) -> None:
    """Remove all symbolic links, and all files that are not `wanted`, below a folder."""
    try:
        inside = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in inside:
        if entry.is_dir(follow_symlinks=False):
            _remove_unwanted(entry.path, wanted)
        elif entry.is_symlink() or entry.path not in wanted:
            os.unlink(entry.path)


def take_back_clips(clips: Iterable[Clip], project: Project, dropped: Iterable[Clip] = ()) -> None:
    """Remove from out/ at once the clips that may no longer be released, and the dataset if it has one of them.

    clips    of these, the ones that the leak check refused or that have no consent
    dropped  clips that are removed in any case: they are withheld, or no longer in the project
    """
    refused = [*dropped] + [c for c in clips if c.facts.get("leaks_passed") is False or not has_consent(c)]
    names = [derive_public_id(project.secret, "c", c.id) for c in refused]
    for name in names:
        for _, ending in PUBLIC_FILES.values():
            (project.released_dir / f"{name}{ending}").unlink(missing_ok=True)
    if names and project.released_dir.is_dir():
        sync_to_disk(project.released_dir)
    if any(path for name in names for path in project.dataset_dir.glob(f"*/clips/{name}.mp4")):
        clear_dataset(project.dataset_dir)  # its tables have the clip too; the next export writes it again


def describe_leaks(clip: Clip) -> str:
    """What the leak check found in a clip that it refused."""
    report = json.loads(clip.path("leaks").read_text())
    frames = report["frames"]
    return f"the leak check saw a face in {len(frames)} of {report['looked_at']} frames, first in frame {frames[0]}"
