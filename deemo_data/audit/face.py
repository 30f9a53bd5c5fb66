"""Channel face."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deemo_data.audit import utility
from deemo_data.audit.material import Found, Line, Material
from deemo_data.project import problems
from deemo_data.reports.privacy_verdict import BEFORE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.clip import Clip


FRAMES = 8  # a clip, in which a recogniser looks


def face(material: Material) -> Found:
    """Recognisers on the masks: gallery of originals, then gallery of masked clips; and detectors that look for a face."""
    from deemo_data.audit.attacks import face as attacks

    lacking = attacks.dlib_is_here()
    found = Found(use=utility.use(material), notes=[f"dlib took no part: it is not here. {lacking}"] if lacking else [])
    recognisers, detectors = attacks.attackers(material.models, not lacking)
    if not recognisers:
        found.notes.append("No recogniser is here, so nothing is known of this channel. Give one with --recogniser FILE.onnx")
        advice = "Type: pip install 'deemo-data[audit]', then deemo models pull --group audit, or give --recogniser FILE.onnx"
        material.missing.append(
            problems.Problem("channel face", "audit", "no face recogniser is here, nobody attacked it", advice)
        )
        return found
    take = attacks.TakeFaces(material.models, not lacking, FRAMES)
    taken = material.make(take, [c.knowing({}, {"subject_tracks": subject_tracks(c)}) for c in material.clips])
    ids = [c.id for c in material.clips if c.id in taken]
    views: dict[str, list[dict[str, NDArray[np.float32]]]] = {BEFORE: [read(taken[i], "taken") for i in ids]}
    retake = attacks.TakeMasked(material.models, not lacking)
    for profile, side in material.sides.items():
        seen = material.make(retake, [c.knowing({"taken": taken[c.id].files["taken"]}, {}) for c in side if c.id in taken])
        empty = {n: v[:0] for n, v in views[BEFORE][0].items()} if ids else {}
        views[profile] = [read(seen[i], "retaken") if i in seen else empty for i in ids]
    whose = [taken[i].facts["subject"] for i in ids]
    if none := sum(not len(v["frame"]) for v in views[BEFORE]):
        found.notes.append(f"In {none} of {len(ids)} originals no face was found to compare.")
    for recogniser in recognisers:
        name = recogniser.name
        seen_as = {side: [v[name] for v in view] for side, view in views.items()}
        originals = seen_as[BEFORE]
        given = {side: attacks.attack(originals, view, whose) for side, view in seen_as.items()}
        parrot = {side: attacks.attack(view, view, whose, same=False) for side, view in seen_as.items()}
        for attack, figures in (("knows originals", given), ("parrot", parrot)):
            for measure, safer in (("rank-1", "low"), ("EER", "high")):
                cells = {side: f.get(measure) for side, f in figures.items()}
                found.lines.append(Line(attack, name, measure, cells, safer, recogniser.weights))  # type: ignore[arg-type]
        frames = [v["frame"] for v in views[BEFORE]]
        for i, (own, other, frame) in closeness(originals, seen_as[material.own], whose, frames).items():
            if own - other > found.worst.get(ids[i], (-3.0,))[0]:
                words = f"{name}: likeness to its own subject {own:.2f}, to the nearest other {other:.2f}"
                found.worst[ids[i]] = (own - other, frame, words)
    for detector in detectors:
        cells = {side: attacks.redetected([v[detector.name] for v in view], whose) for side, view in views.items()}
        found.lines.append(Line("looks for a face", detector.name, "faces seen", cells, "low", detector.weights))
    return found


def subject_tracks(clip: Clip) -> list[int] | None:
    """Which tracks of `faces` are the subject's; None where nobody said."""
    if "roles" not in clip.files:
        return None
    faces: dict[str, str] = json.loads(clip.path("roles").read_text())["faces"]
    return [int(track) for track, role in faces.items() if role == "subject"] or None


def read(clip: Clip, name: str) -> dict[str, NDArray[np.float32]]:
    import numpy as np

    with np.load(clip.path(name)) as held:
        return {n: held[n] for n in held.files if n != "mesh"}


def closeness(
    gallery: Sequence[NDArray[np.float32]], probes: Sequence[NDArray[np.float32]], subjects: Sequence[str],
    frames: Sequence[NDArray[np.float32]],
) -> dict[int, tuple[float, float, int]]:  # fmt: skip
    """{clip: (how like its own subject a masked clip is, how like the nearest other, in which frame it is most like its own)}."""
    import numpy as np

    from deemo_data.audit.attacks import face as attacks

    similar, known, asked = attacks.table(gallery, probes, subjects, same=True)
    found = {}
    for row, i in zip(similar, asked, strict=True) if len(known) > 1 else ():
        own = known.index(subjects[i])
        mine = [g.mean(axis=0) for g, s in zip(gallery, subjects, strict=True) if s == subjects[i] and len(g)]
        alike = probes[i] @ np.mean(mine, axis=0)
        found[i] = (float(row[own]), float(np.delete(row, own).max()), int(frames[i][int(np.argmax(alike))]))
    return found
