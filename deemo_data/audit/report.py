"""What the audit's report says besides its figures: what was attacked, the clips that came closest, and their stills."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from deemo_data import __version__, pseudonyms
from deemo_data.audit.material import Material
from deemo_data.errors import NotReleasable
from deemo_data.project import release
from deemo_data.project.clips import read_project_clips
from deemo_data.project.config import profile_text

SCHEMA = "deemo-privacy-1"
MAX_STILLS = 6
STILL_WIDTH_PX = 320


def describe_material(material: Material, clips_per_subject: int) -> dict[str, Any]:
    """The head of the report: what was attacked, with counts, sides and settings."""
    project, clips = material.project, material.clips
    changed = (project.root / "deemo.toml").read_text("utf-8") != profile_text(material.own_profile)
    subjects = sorted(set(material.subjects))
    sides = [
        {"name": name, "own": name == material.own_profile, "changed": changed and name == material.own_profile,
         "clips": len(side), "refused": sum(c.facts.get("leaks_passed") is not True for c in side)}
        for name, side in material.sides.items()
    ]  # fmt: skip
    return {
        "schema": SCHEMA,
        "deemo_data": __version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "profile": material.own_profile,
        "sides": sides,
        "clips": {
            "in_project": len(read_project_clips(project)), "attacked": len(clips), "subjects": len(subjects),
            "most_a_subject": clips_per_subject,
            "subjects_with_one_clip": sum(material.subjects.count(s) == 1 for s in subjects),
            "subjects_assumed": len({c.facts["subject"] for c in clips if c.facts.get("subject_assumed")}),
            "seconds": round(sum(c.end_ms - c.start_ms for c in clips) / 1000, 1),
            "not_attacked": len({m.what for m in material.missing if not m.what.startswith("channel ")}),
        },
        "models": [{"file": Path(p).name, "sha256": digest} for p, digest in material.models],
    }  # fmt: skip


def list_closest_clips(material: Material, worst: dict[str, tuple[float, int, str]]) -> dict[str, Any]:
    """The clips that attackers came closest to, by public id. Clips that may not be released are only counted."""
    rows: list[dict[str, Any]] = []
    withheld = 0
    clips = {c.id: c for c in material.clips}
    for private, (_, frame, words) in sorted(worst.items(), key=lambda w: -w[1][0]):
        try:
            release.check_releasable(clips[private], material.project)
        except NotReleasable:
            withheld += 1
            continue
        if len(rows) < MAX_STILLS:
            outside = pseudonyms.derive_public_id(material.project.secret, "c", private)
            rows.append({"clip": outside, "subject": clips[private].facts["subject"], "frame": frame, "why": words})
    return {"closest": rows, "withheld": withheld}


def render_still(material: Material, outside: str, frame: int) -> bytes:
    """One frame of the released clip as a small JPEG."""
    from deemo_data.audit.attacks.face import safe_as_source
    from deemo_data.media import encode, frames

    secret = material.project.secret
    clip = next(c for c in material.clips if pseudonyms.derive_public_id(secret, "c", c.id) == outside)
    release.check_releasable(clip, material.project)
    for shown in frames.read_frames(safe_as_source(clip)):
        if shown.index == frame:
            return encode.encode_jpeg(shown.bgr(), 80, STILL_WIDTH_PX)
    raise NotReleasable(f"clip {outside} has no frame {frame}", "This is a fault of deemo; please report it")
