"""`deemo audit`: attacks on what was made, channel by channel, before and after, for both profiles side by side.

What comes out is out/privacy.json and out/privacy.html. They hold figures, public ids, pseudonyms, and pictures of
masked clips that may be released; no original, no name, no path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deemo_data import __version__, build, pipeline, release, withdrawn
from deemo_data.clip import Clip, File, write_if_changed
from deemo_data.config import PROFILES, Project, profile_text, read_config
from deemo_data.errors import ConfigError, ModelError, NotReleasable, ProjectError
from deemo_data.pipeline import Stage, Watcher

if TYPE_CHECKING:
    from deemo_data.attacks.face import Models
    from deemo_data.attacks.scores import Score

SCHEMA = "deemo-privacy-1"
BEFORE = "before"
STILLS = 6
STILL_WIDTH = 320


@dataclass(frozen=True)
class Line:
    """One attack of one attacker, or one measure of what is still of use: a figure for each side.

    cells  {"before" or a profile's name: figure}, None where it could not be computed
    safer  which way is safer for an attack ("high" for an EER, "low" for a rate of hits); "" for a measure of use
    """

    attack: str
    attacker: str
    measure: str
    cells: dict[str, Score | None]
    safer: Literal["high", "low", ""]
    weights: str = ""
    note: str = ""

    def to_row(self, sides: Iterable[str]) -> dict[str, Any]:
        figures = {side: self.cells.get(side) for side in sides}
        return vars(self) | {"cells": {side: score.to_row() if score else None for side, score in figures.items()}}


@dataclass
class Found:
    """What came out in one channel. `worst`: {clip id: (how close the attacker came, in which frame, in words)}."""

    lines: list[Line] = field(default_factory=list)
    use: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    worst: dict[str, tuple[float, int, str]] = field(default_factory=dict)


@dataclass
class Material:
    """What the channels work on. `sides`: by profile, the same clips in the same order, with what that profile made."""

    project: Project
    sides: dict[str, list[Clip]]
    models: Models = ()
    workers: int = 0
    watcher: Watcher = field(default_factory=Watcher)
    missing: list[build.Missing] = field(default_factory=list)

    @property
    def own(self) -> str:
        return self.project.config.project.profile

    @property
    def clips(self) -> list[Clip]:
        return self.sides[self.own]

    @property
    def subjects(self) -> list[str]:
        return [c.facts["subject"] for c in self.clips]

    def make(self, stage: Stage, clips: Iterable[Clip]) -> dict[str, Clip]:
        """{id: the clip plus what `stage` makes of it}; from the store where it is there. Those it fails for are missing."""
        done, failures = pipeline.run(
            [stage], clips, store_dir=self.project.store, secret=self.project.secret, workers=self.workers, watcher=self.watcher
        )
        self.missing += [build.Missing(f.clip.id, "audit", f.reason, f.advice) for f in failures]
        return {c.id: c for c in done}

    def stage(self, name: str) -> Stage:
        """The project's own stage of that class name, with its settings."""
        return next(s for s in self.project.config.attempts[0] if type(s).__name__ == name)


def audit(
    project: Project,
    *,
    models: Sequence[Path] = (),
    both: bool = True,
    most: int = 10,
    workers: int = 2,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[dict[str, Any], list[build.Missing]]:
    """Run every attack and write both reports; what privacy.json says, and the clips that could not be attacked.

    models  InsightFace's kind of files: recognisers and face detectors
    both    make the other profile's masks and voices of the same clips, in private/, and attack these too
    most    clips a subject; 0 for all
    """
    from deemo_data import audit_channels, audit_page

    gone = withdrawn.marks(project)
    material = gather(project, known(models), both, most, workers, watcher)
    channels: dict[str, dict[str, Any]] = {}
    worst: dict[str, tuple[float, int, str]] = {}
    work: dict[str, Callable[[Material], Found]] = audit_channels.CHANNELS
    for name, attack in work.items():
        began = time.monotonic()
        try:
            found = attack(material)
        except ModelError as e:  # its words may hold a path, so they go to the person who asked and not into the report
            material.missing.append(build.Missing(f"channel {name}", "audit", e.what, e.advice))
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
        build.withdrawn_meanwhile(project, [c for side in material.sides.values() for c in side])
        withdrawn.check(project, gone)
        project.write_report("privacy.json", said)
        write_if_changed(project.out / "privacy.html", audit_page.page(said, stills))
    return said, material.missing


def gather(project: Project, models: Models, both: bool, most: int, workers: int, watcher: Watcher) -> Material:
    """The clips that the line has made, of both profiles. Raises ProjectError when it has made none."""
    made = {c.id: c for c in build.current(project) if is_made(c)}
    if not made:
        raise ProjectError("there is nothing to attack: no clip has come through all stages", f"Type: deemo run {project.root}")
    own = project.config.project.profile
    material = Material(project, {}, models, workers, watcher)
    chosen = spread(list(made.values()), project.secret, most)
    sides = {own: {c.id: c for c in chosen}}
    for profile in [p for p in PROFILES if p != own and both]:
        other = with_profile(project, profile)
        stages = {type(s).__name__ for s in other.config.attempts[0]}
        done, failed = build.through(other, chosen, stages, workers, watcher)
        material.missing += [build.Missing(i, f"audit, {profile}", f.reason, f.advice) for i, f in failed.items()]
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
    for clip in sorted(clips, key=lambda c: release.public_id(secret, "c", c.id)):
        by_subject.setdefault(clip.facts["subject"], []).append(clip)
    chosen = [c for own in by_subject.values() for c in (own[:most] if most else own)]
    return sorted(chosen, key=lambda c: (c.source, c.start_ms, c.end_ms))


def with_profile(project: Project, profile: str) -> Project:
    """The same folder with another profile's stages: what they make lies in the same store, and no list learns of it."""
    other = Project(project.root)
    with resources.as_file(resources.files("deemo_data").joinpath("profiles", f"{profile}.toml")) as path:
        vars(other)["config"] = read_config(path)
    return other


def known(models: Sequence[Path]) -> Models:
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
            outside = release.public_id(material.project.secret, "c", private)
            rows.append({"clip": outside, "subject": clips[private].facts["subject"], "frame": frame, "why": words})
    return {"closest": rows, "withheld": withheld}


def still(material: Material, outside: str, frame: int) -> bytes:
    """One picture of what would be released, as a small JPEG."""
    import cv2

    from deemo_data import media
    from deemo_data.attacks.face import as_source

    secret = material.project.secret
    clip = next(c for c in material.clips if release.public_id(secret, "c", c.id) == outside)
    release.may_go(clip, material.project)
    for shown in media.frames(as_source(clip)):
        if shown.index == frame:
            height = round(clip.grid.height * STILL_WIDTH / clip.grid.width)
            small = cv2.resize(shown.bgr(), (STILL_WIDTH, height), interpolation=cv2.INTER_AREA)
            return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
    raise NotReleasable(f"clip {outside} has no frame {frame}", "This is a fault of deemo; please report it")
