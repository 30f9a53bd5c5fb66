"""Channel face: recognisers and detectors on the masked faces, compared with the originals.

The attackers are in attacks/face.py. They see the place of the face in each masked frame, so their figures are upper bounds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deemo_data.audit import utility
from deemo_data.audit.material import ChannelResult, Material, ResultLine
from deemo_data.project import problems
from deemo_data.reports.privacy_verdict import UNPROTECTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.clip import Clip


FRAMES_PER_CLIP = 8  # frames per clip that a recogniser sees


def attack_face(material: Material) -> ChannelResult:
    """Recognisers with a gallery of originals and with a gallery of masked clips (parrot); detectors that look for a face."""
    from deemo_data.audit.attacks import face as attacks

    advice_for_dlib = attacks.find_missing_dlib()
    result = ChannelResult(
        use=utility.measure_utility(material),
        notes=[f"dlib took no part: it is not here. {advice_for_dlib}"] if advice_for_dlib else [],
    )
    recognisers, detectors = attacks.load_attackers(material.models, not advice_for_dlib)
    if not recognisers:
        result.notes.append("No recogniser is here, so nothing is known of this channel. Give one with --recogniser FILE.onnx")
        advice = "Type: pip install 'deemo-data[audit]', then deemo models pull --group audit, or give --recogniser FILE.onnx"
        material.missing.append(
            problems.Problem("channel face", "audit", "no face recogniser is here, nobody attacked it", advice)
        )
        return result
    take = attacks.TakeFaces(material.models, not advice_for_dlib, FRAMES_PER_CLIP)
    original_clips = material.run_stage(take, [c.with_results({}, {"subject_tracks": subject_tracks(c)}) for c in material.clips])
    ids = [c.id for c in material.clips if c.id in original_clips]
    views: dict[str, list[dict[str, NDArray[np.float32]]]] = {UNPROTECTED: [read_arrays(original_clips[i], "taken") for i in ids]}
    retake = attacks.TakeMasked(material.models, not advice_for_dlib)
    for profile, side in material.sides.items():
        masked_clips = material.run_stage(
            retake, [c.with_results({"taken": original_clips[c.id].files["taken"]}, {}) for c in side if c.id in original_clips]
        )
        empty = {n: v[:0] for n, v in views[UNPROTECTED][0].items()} if ids else {}
        views[profile] = [read_arrays(masked_clips[i], "retaken") if i in masked_clips else empty for i in ids]
    subjects = [original_clips[i].facts["subject"] for i in ids]
    if without_face := sum(not len(v["frame"]) for v in views[UNPROTECTED]):
        result.notes.append(f"In {without_face} of {len(ids)} originals no face was found to compare.")
    for recogniser in recognisers:
        name = recogniser.name
        seen_as = {side: [v[name] for v in view] for side, view in views.items()}
        originals = seen_as[UNPROTECTED]
        by_originals = {side: attacks.score_recogniser(originals, view, subjects) for side, view in seen_as.items()}
        parrot = {side: attacks.score_recogniser(view, view, subjects, same=False) for side, view in seen_as.items()}
        for attack, figures in (("knows originals", by_originals), ("parrot", parrot)):
            for measure, safer in (("rank-1", "low"), ("EER", "high")):
                cells = {side: f.get(measure) for side, f in figures.items()}
                result.lines.append(ResultLine(attack, name, measure, cells, safer, recogniser.weights))  # type: ignore[arg-type]
        frames = [v["frame"] for v in views[UNPROTECTED]]
        for i, (own, other, frame) in measure_likeness(originals, seen_as[material.own_profile], subjects, frames).items():
            if own - other > result.worst.get(ids[i], (-3.0,))[0]:
                words = f"{name}: likeness to its own subject {own:.2f}, to the nearest other {other:.2f}"
                result.worst[ids[i]] = (own - other, frame, words)
    for detector in detectors:
        cells = {side: attacks.score_detector([v[detector.name] for v in view], subjects) for side, view in views.items()}
        result.lines.append(ResultLine("looks for a face", detector.name, "faces seen", cells, "low", detector.weights))
    return result


def subject_tracks(clip: Clip) -> list[int] | None:
    """The tracks of `faces` that belong to the subject; None where no roles were assigned."""
    if "roles" not in clip.files:
        return None
    faces: dict[str, str] = json.loads(clip.path("roles").read_text())["faces"]
    return [int(track) for track, role in faces.items() if role == "subject"] or None


def read_arrays(clip: Clip, name: str) -> dict[str, NDArray[np.float32]]:
    import numpy as np

    with np.load(clip.path(name)) as held:
        return {n: held[n] for n in held.files if n != "mesh"}


def measure_likeness(
    gallery: Sequence[NDArray[np.float32]], probes: Sequence[NDArray[np.float32]], subjects: Sequence[str],
    frames: Sequence[NDArray[np.float32]],
) -> dict[int, tuple[float, float, int]]:  # fmt: skip
    """{clip: (similarity to its own subject, similarity to the nearest other, frame most similar to its own subject)}."""
    import numpy as np

    from deemo_data.audit.attacks import face as attacks

    similar, people, probe_clips = attacks.similarity_table(gallery, probes, subjects, same=True)
    likeness = {}
    for row, i in zip(similar, probe_clips, strict=True) if len(people) > 1 else ():
        own_column = people.index(subjects[i])
        own_faces = [g.mean(axis=0) for g, s in zip(gallery, subjects, strict=True) if s == subjects[i] and len(g)]
        similarity = probes[i] @ np.mean(own_faces, axis=0)
        likeness[i] = (
            float(row[own_column]),
            float(np.delete(row, own_column).max()),
            int(frames[i][int(np.argmax(similarity))]),
        )
    return likeness
