"""The six channels of the audit: what each attacker is given, and which figures come out for which side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deemo_data import audit_use, audit_words, build
from deemo_data.audit import BEFORE, Found, Line, Material

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.attacks.body import Track
    from deemo_data.attacks.voice import Utterance
    from deemo_data.clip import Clip

FRAMES = 8  # a clip, in which a recogniser looks


def face(material: Material) -> Found:
    """Recognisers on the masks: gallery of originals, then gallery of masked clips; and detectors that look for a face."""
    from deemo_data.attacks import face as attacks

    lacking = attacks.dlib_is_here()
    found = Found(use=audit_use.use(material), notes=[f"dlib took no part: it is not here. {lacking}"] if lacking else [])
    recognisers, detectors = attacks.attackers(material.models, not lacking)
    if not recognisers:
        found.notes.append("No recogniser is here, so nothing is known of this channel. Give one with --recogniser FILE.onnx")
        advice = "Type: pip install 'deemo-data[audit]', then deemo models pull --group audit, or give --recogniser FILE.onnx"
        material.missing.append(build.Missing("channel face", "audit", "no face recogniser is here, nobody attacked it", advice))
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

    from deemo_data.attacks import face as attacks

    similar, known, asked = attacks.table(gallery, probes, subjects, same=True)
    found = {}
    for row, i in zip(similar, asked, strict=True) if len(known) > 1 else ():
        own = known.index(subjects[i])
        mine = [g.mean(axis=0) for g, s in zip(gallery, subjects, strict=True) if s == subjects[i] and len(g)]
        alike = probes[i] @ np.mean(mine, axis=0)
        found[i] = (float(row[own]), float(np.delete(row, own).max()), int(frames[i][int(np.argmax(alike))]))
    return found


def voice(material: Material) -> Found:
    """Speaker recognisers and plain statistics on the changed voices; words and melody that are left."""
    from deemo_data import media
    from deemo_data.attacks import voice as attacks

    heard = [k for k, c in enumerate(material.clips) if c.facts["has_sound"]]
    if not heard:
        return Found(notes=["No clip has sound."])
    clips = [material.clips[k] for k in heard]
    material.watcher.stage("Voices", len(heard) * len(material.sides), 0)
    whose = [c.facts["subject"] for c in clips]
    halve = len(set(whose)) == len(whose)
    before = [media.sound(c) for c in clips]
    original, whole = (utterances(clips, before, h) for h in (halve, False))
    lines: dict[tuple[str, str, str], Line] = {}
    use: dict[str, Line] = {}
    found = Found(notes=[HALVED] if halve else [])
    for profile, side in material.sides.items():
        after = [media.read_wav(side[k].path("voice")) for k in heard]
        changed, spoken = (utterances(clips, after, h) for h in (halve, False))
        for row in attacks.attack(original, changed):
            best = row.scenario == "lowest"
            name = "the best of them" if best else row.attacker
            weights = "ge2e-39373b" if row.attacker.startswith("GE2E") else ""
            line = Line(row.scenario, name, row.measure, {}, "high" if row.measure == "EER" else "low", weights, row.note)
            lines.setdefault((row.scenario, name, row.measure), line).cells[profile] = row.score
            if best and row.score:
                found.notes.append(f"The lowest EER on {profile} is that of {row.attacker}.")
        for name, score in attacks.melody_kept(spoken, whole).items():
            use.setdefault(name, Line(name, "", "correlation", {}, "")).cells[profile] = score
        wrong = attacks.asr_wer(spoken, whole)
        use.setdefault("words heard wrongly", Line("words heard wrongly", "Whisper", "WER", {}, "")).cells[profile] = wrong
        for _ in heard:
            material.watcher.clip("Voices")
    ceiling = {key[1:]: line.cells[material.own] for key, line in lines.items() if key[0] == "original"}
    eers = [score for (_, measure), score in ceiling.items() if score and measure == "EER"]
    ceiling["the best of them", "EER"] = min(eers, key=lambda s: s.value, default=None)
    found.lines = [line for line in lines.values() if line.attack != "original"]
    for line in found.lines:
        line.cells[BEFORE] = ceiling.get((line.attacker, line.measure))
    found.use = list(use.values())
    return found


HALVED = (
    "No subject has two clips. So each clip was cut in half and the halves were tried on each other: one recording, its room and "
    "its microphone help the attacker."
)


def utterances(clips: Sequence[Clip], waves: Sequence[NDArray[np.float32]], halve: bool) -> list[Utterance]:
    """The subject's turns of each clip, out of its original or its changed sound; as two halves, if so said."""
    from deemo_data.attacks.voice import Utterance

    found = []
    for clip, whole in zip(clips, waves, strict=True):
        wave = subject_sound(clip, whole)
        parts = [wave[: len(wave) // 2], wave[len(wave) // 2 :]] if halve else [wave]
        found += [Utterance(clip.facts["subject"], f"{clip.id}/{n}", part) for n, part in enumerate(parts)]
    return found


def subject_sound(clip: Clip, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of a clip's sound (n,) the subject's turns, one after the other; all of it where nobody said whose turn it is."""
    import numpy as np

    from deemo_data import media

    if "turns" not in clip.files or "roles" not in clip.files:
        return wave
    speakers: dict[str, str] = json.loads(clip.path("roles").read_text())["speakers"]
    begin = clip.grid.ms_at(clip.first_frame)
    parts = [
        wave[
            max(0, (t["start_ms"] - begin) * media.SOUND_RATE // 1000) : max(0, (t["end_ms"] - begin) * media.SOUND_RATE // 1000)
        ]
        for t in json.loads(clip.path("turns").read_text())["turns"]
        if speakers.get(t["speaker"]) == "subject"
    ]
    return np.concatenate(parts) if any(len(p) for p in parts) else wave


def body(material: Material) -> Found:
    """Who is it, by body points alone: by all that were tracked (before), and by those that are published."""
    from deemo_data.attacks import body as attacks

    whose = material.subjects
    halve = len(set(whose)) == len(whose)
    tracked = [t for c in material.clips for t in halves(track(c, "body", "picture"), halve)]
    lines: dict[str, Line] = {}
    found = Found(notes=[HALVED] if halve else [])
    for profile, side in material.sides.items():
        public = [t for c in side for t in halves(track(c, "public_body", c.facts.get("body_unit", "picture")), halve)]
        for row in attacks.attack(tracked, public):
            name = "the best of them" if row.scenario == "highest" else row.attacker
            attack = "highest" if row.scenario == "highest" else "body points"
            line = lines.setdefault(f"{attack} {name}", Line(attack, name, row.measure, {}, "low", "", row.note))
            line.cells[BEFORE if row.scenario == "tracked" else profile] = row.score
            if row.scenario == "highest" and row.score:
                found.notes.append(f"The highest rank-1 on {profile} is that of {row.attacker}.")
    found.lines = list(lines.values())
    if best := lines.get("highest the best of them"):
        known = [score for line in found.lines if line is not best and (score := line.cells.get(BEFORE))]
        best.cells[BEFORE] = max(known, key=lambda s: s.value, default=None)
    return found


def track(clip: Clip, name: str, unit: str) -> Track:
    from deemo_data.attacks.body import Track

    grid = clip.grid
    aspect = grid.width / grid.height if unit == "picture" else 1.0
    return Track.read(clip.facts["subject"], clip.path(name), float(grid.fps), aspect, clip.id)


def halves(whole: Track, halve: bool) -> list[Track]:
    """One track as two clips, if so said."""
    if not halve:
        return [whole]
    middle, points, sure = len(whole.body.points) // 2, whole.body.points, whole.body.confidence
    bodies = [type(whole.body)(points[:middle], sure[:middle]), type(whole.body)(points[middle:], sure[middle:])]
    return [replace(whole, clip=f"{whole.clip}/{n}", body=part) for n, part in enumerate(bodies)]


CHANNELS: dict[str, Callable[[Material], Found]] = {
    "face": face,
    "voice": voice,
    "names": audit_words.names,
    "screen": audit_words.screen,
    "body": body,
    "metadata": audit_words.metadata,
}
