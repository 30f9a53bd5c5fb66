"""Which clips the audit attacks: a sample of the finished clips, as each profile made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data import pseudonyms
from deemo_data.audit.material import Material
from deemo_data.clip import Clip
from deemo_data.errors import ConfigError, ProjectError
from deemo_data.files import File
from deemo_data.pipeline.run import Watcher
from deemo_data.project import problems, release
from deemo_data.project.clips import read_current_clips
from deemo_data.project.config import PROFILES
from deemo_data.project.project import Project
from deemo_data.workflow import run

if TYPE_CHECKING:
    from deemo_data.audit.attacks.face import Models


def gather_material(
    project: Project, models: Models, both: bool, clips_per_subject: int, workers: int, watcher: Watcher
) -> Material:
    """Collect the finished clips of both profiles. Raises ProjectError when there is none."""
    finished = {c.id: c for c in read_current_clips(project) if has_all_outputs(c)}
    if not finished:
        raise ProjectError("there is nothing to attack: no clip has come through all stages", f"Type: deemo run {project.root}")
    own_profile = project.config.project.profile
    material = Material(project, {}, models, workers, watcher)
    sampled = sample_clips(list(finished.values()), project.secret, clips_per_subject)
    sides = {own_profile: {c.id: c for c in sampled}}
    for profile in [p for p in PROFILES if p != own_profile and both]:
        other = project.with_profile(profile)
        stages = {type(s).__name__ for s in other.config.attempts[0]}
        done, failed = run.run_attempts(other, sampled, stages, workers, watcher)
        material.missing += [problems.Problem(i, f"audit, {profile}", f.reason, f.advice) for i, f in failed.items()]
        sides = {profile: done, **sides}
    ids = [c.id for c in sampled if all(c.id in side and has_all_outputs(side[c.id]) for side in sides.values())]
    if not ids:
        raise ProjectError("there is nothing to compare: the other profile made none of the clips", "Add: --profiles own")
    material.sides = {profile: [side[i] for i in ids] for profile, side in sides.items()}
    return material


def has_all_outputs(clip: Clip) -> bool:
    """Whether a clip has its leak check and every file that a release needs."""
    return "leaks" in clip.files and all(n in clip.files for n in release.PUBLIC_FILES)


def sample_clips(clips: list[Clip], secret: bytes, clips_per_subject: int) -> list[Clip]:
    """At most `clips_per_subject` clips per subject (0: all), in order of public id (an HMAC, so effectively random)."""
    by_subject: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: pseudonyms.derive_public_id(secret, "c", c.id)):
        by_subject.setdefault(clip.facts["subject"], []).append(clip)
    sampled = [
        c for of_subject in by_subject.values() for c in (of_subject[:clips_per_subject] if clips_per_subject else of_subject)
    ]
    return sorted(sampled, key=lambda c: (c.source, c.start_ms, c.end_ms))


def digest_models(models: Sequence[Path]) -> Models:
    """(absolute path, SHA-256) of each model file. Raises ConfigError for a file that does not exist."""
    if lacking := [p for p in models if not p.is_file()]:
        raise ConfigError(f"the model {lacking[0]} is not there", "Give the path of an .onnx file after --recogniser")
    return tuple((str(p.resolve()), File.of(p).sha256) for p in models)
