"""Deemo audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data import __version__, pseudonyms
from deemo_data.audit.body import body
from deemo_data.audit.face import face
from deemo_data.audit.material import Found, Material
from deemo_data.audit.voice import voice
from deemo_data.audit.words import metadata, names, screen
from deemo_data.clip import Clip
from deemo_data.errors import ConfigError, ModelError, NotReleasable, ProjectError
from deemo_data.files import File, write_if_changed
from deemo_data.pipeline.run import Watcher
from deemo_data.project import problems, release, withdrawals
from deemo_data.project.clips import current
from deemo_data.project.config import PROFILES, profile_text, read_config
from deemo_data.project.project import Project
from deemo_data.reports.privacy_verdict import BEFORE
from deemo_data.workflow import run

if TYPE_CHECKING:
    from deemo_data.audit.attacks.face import Models


SCHEMA = "deemo-privacy-1"
STILLS = 6
STILL_WIDTH = 320


def run_audit(
    project: Project,
    *,
    models: Sequence[Path] = (),
    both: bool = True,
    most: int = 10,
    workers: int = 2,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[dict[str, Any], list[problems.Problem]]:
    """Run every attack and write both reports; what privacy.json says, and the clips that could not be attacked.

    models  InsightFace's kind of files: recognisers and face detectors
    both    make the other profile's masks and voices of the same clips, in private/, and attack these too
    most    clips a subject; 0 for all
    """
    from deemo_data.reports import privacy

    gone = withdrawals.marks(project)
    material = gather(project, with_digests(models), both, most, workers, watcher)
    channels: dict[str, dict[str, Any]] = {}
    worst: dict[str, tuple[float, int, str]] = {}
    work: dict[str, Callable[[Material], Found]] = CHANNELS
    for name, attack in work.items():
        began = time.monotonic()
        try:
            found = attack(material)
        except ModelError as e:  # its words may hold a path, so they go to the person who asked and not into the report
            material.missing.append(problems.Problem(f"channel {name}", "audit", e.what, e.advice))
            found = Found(notes=["Not attacked: a model is not here. The command says which, and what to type."])
        worst |= found.worst
        channels[name] = {
            "lines": [line.to_row([BEFORE, *material.sides]) for line in found.lines],
            "use": [line.to_row(material.sides) for line in found.use],
            "notes": found.notes,
            "seconds": round(time.monotonic() - began, 1),
        }
    said = about(material, most) | {"channels": channels} | closest(material, worst)
    stills = {row["clip"]: still(material, row["clip"], row["frame"]) for row in said["closest"]}
    with project.locked():
        withdrawals.erase_withdrawn_since(project, [c for side in material.sides.values() for c in side])
        withdrawals.raise_if_new(project, gone)
        project.write_report("privacy.json", said)
        write_if_changed(project.out / "privacy.html", privacy.page(said, stills))
    return said, material.missing


def gather(project: Project, models: Models, both: bool, most: int, workers: int, watcher: Watcher) -> Material:
    """The clips that the line has made, of both profiles. Raises ProjectError when it has made none."""
    made = {c.id: c for c in current(project) if is_made(c)}
    if not made:
        raise ProjectError("there is nothing to attack: no clip has come through all stages", f"Type: deemo run {project.root}")
    own = project.config.project.profile
    material = Material(project, {}, models, workers, watcher)
    chosen = spread(list(made.values()), project.secret, most)
    sides = {own: {c.id: c for c in chosen}}
    for profile in [p for p in PROFILES if p != own and both]:
        other = with_profile(project, profile)
        stages = {type(s).__name__ for s in other.config.attempts[0]}
        done, failed = run.run_attempts(other, chosen, stages, workers, watcher)
        material.missing += [problems.Problem(i, f"audit, {profile}", f.reason, f.advice) for i, f in failed.items()]
        sides = {profile: done, **sides}
    ids = [c.id for c in chosen if all(c.id in side and is_made(side[c.id]) for side in sides.values())]
    if not ids:
        raise ProjectError("there is nothing to compare: the other profile made none of the clips", "Add: --profiles own")
    material.sides = {profile: [side[i] for i in ids] for profile, side in sides.items()}
    return material


def is_made(clip: Clip) -> bool:
    return "leaks" in clip.files and all(n in clip.files for n in release.PUBLIC_FILES)


def spread(clips: list[Clip], secret: bytes, most: int) -> list[Clip]:
    """At most so many clips of each subject, by the order of their public ids, which is as good as chance."""
    by_subject: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: pseudonyms.public_id(secret, "c", c.id)):
        by_subject.setdefault(clip.facts["subject"], []).append(clip)
    chosen = [c for own in by_subject.values() for c in (own[:most] if most else own)]
    return sorted(chosen, key=lambda c: (c.source, c.start_ms, c.end_ms))


def with_profile(project: Project, profile: str) -> Project:
    """The same folder with another profile's stages: what they make lies in the same store, and no list learns of it."""
    other = Project(project.root)
    with resources.as_file(resources.files("deemo_data").joinpath("profiles", f"{profile}.toml")) as path:
        vars(other)["config"] = read_config(path)
    return other


def with_digests(models: Sequence[Path]) -> Models:
    """Model files by whole path and digest."""
    if lacking := [p for p in models if not p.is_file()]:
        raise ConfigError(f"the model {lacking[0]} is not there", "Give the path of an .onnx file after --recogniser")
    return tuple((str(p.resolve()), File.of(p).sha256) for p in models)


def about(material: Material, most: int) -> dict[str, Any]:
    """What was attacked: counts, sides, settings."""
    project, clips = material.project, material.clips
    changed = (project.root / "deemo.toml").read_text("utf-8") != profile_text(material.own)
    subjects = sorted(set(material.subjects))
    sides = [
        {"name": name, "own": name == material.own, "changed": changed and name == material.own, "clips": len(side),
         "refused": sum(c.facts.get("leaks_passed") is not True for c in side)}
        for name, side in material.sides.items()
    ]  # fmt: skip
    return {
        "schema": SCHEMA,
        "deemo_data": __version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "profile": material.own,
        "sides": sides,
        "clips": {
            "in_project": len(project.clips()), "attacked": len(clips), "subjects": len(subjects), "most_a_subject": most,
            "subjects_with_one_clip": sum(material.subjects.count(s) == 1 for s in subjects),
            "subjects_assumed": len({c.facts["subject"] for c in clips if c.facts.get("subject_assumed")}),
            "seconds": round(sum(c.end_ms - c.start_ms for c in clips) / 1000, 1),
            "not_attacked": len({m.what for m in material.missing if not m.what.startswith("channel ")}),
        },
        "models": [{"file": Path(p).name, "sha256": digest} for p, digest in material.models],
    }  # fmt: skip


def closest(material: Material, worst: dict[str, tuple[float, int, str]]) -> dict[str, Any]:
    """The clips an attacker came closest with, by public id; those that may not be released are only counted."""
    rows: list[dict[str, Any]] = []
    withheld = 0
    clips = {c.id: c for c in material.clips}
    for private, (_, frame, words) in sorted(worst.items(), key=lambda w: -w[1][0]):
        try:
            release.may_go(clips[private], material.project)
        except NotReleasable:
            withheld += 1
            continue
        if len(rows) < STILLS:
            outside = pseudonyms.public_id(material.project.secret, "c", private)
            rows.append({"clip": outside, "subject": clips[private].facts["subject"], "frame": frame, "why": words})
    return {"closest": rows, "withheld": withheld}


def still(material: Material, outside: str, frame: int) -> bytes:
    """One picture of what would be released, as a small JPEG."""
    import cv2

    from deemo_data.audit.attacks.face import as_source
    from deemo_data.media import frames

    secret = material.project.secret
    clip = next(c for c in material.clips if pseudonyms.public_id(secret, "c", c.id) == outside)
    release.may_go(clip, material.project)
    for shown in frames.read_frames(as_source(clip)):
        if shown.index == frame:
            height = round(clip.grid.height * STILL_WIDTH / clip.grid.width)
            small = cv2.resize(shown.bgr(), (STILL_WIDTH, height), interpolation=cv2.INTER_AREA)
            return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
    raise NotReleasable(f"clip {outside} has no frame {frame}", "This is a fault of deemo; please report it")


CHANNELS: dict[str, Callable[[Material], Found]] = {
    "face": face,
    "voice": voice,
    "names": names,
    "screen": screen,
    "body": body,
    "metadata": metadata,
}
