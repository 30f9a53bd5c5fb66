"""Channel voice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deemo_data.audit.material import Found, Line, Material
from deemo_data.reports.privacy_verdict import BEFORE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.audit.attacks.voice import Utterance
    from deemo_data.clip import Clip


def voice(material: Material) -> Found:
    """Speaker recognisers and plain statistics on the changed voices; words and melody that are left."""
    from deemo_data.audit.attacks import voice as attacks
    from deemo_data.media import sound

    heard = [k for k, c in enumerate(material.clips) if c.facts["has_sound"]]
    if not heard:
        return Found(notes=["No clip has sound."])
    clips = [material.clips[k] for k in heard]
    material.watcher.stage("Voices", len(heard) * len(material.sides), 0)
    whose = [c.facts["subject"] for c in clips]
    halve = len(set(whose)) == len(whose)
    before = [sound.read_sound(c) for c in clips]
    original, whole = (utterances(clips, before, h) for h in (halve, False))
    lines: dict[tuple[str, str, str], Line] = {}
    use: dict[str, Line] = {}
    found = Found(notes=[HALVED] if halve else [])
    for profile, side in material.sides.items():
        after = [sound.read_wav(side[k].path("voice")) for k in heard]
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
    from deemo_data.audit.attacks.voice import Utterance

    found = []
    for clip, whole in zip(clips, waves, strict=True):
        wave = subject_sound(clip, whole)
        parts = [wave[: len(wave) // 2], wave[len(wave) // 2 :]] if halve else [wave]
        found += [Utterance(clip.facts["subject"], f"{clip.id}/{n}", part) for n, part in enumerate(parts)]
    return found


def subject_sound(clip: Clip, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of a clip's sound (n,) the subject's turns, one after the other; all of it where nobody said whose turn it is."""
    import numpy as np

    from deemo_data.media import sound

    if "turns" not in clip.files or "roles" not in clip.files:
        return wave
    speakers: dict[str, str] = json.loads(clip.path("roles").read_text())["speakers"]
    begin = clip.grid.ms_at(clip.first_frame)
    parts = [
        wave[
            max(0, (t["start_ms"] - begin) * sound.SOUND_RATE // 1000) : max(0, (t["end_ms"] - begin) * sound.SOUND_RATE // 1000)
        ]
        for t in json.loads(clip.path("turns").read_text())["turns"]
        if speakers.get(t["speaker"]) == "subject"
    ]
    return np.concatenate(parts) if any(len(p) for p in parts) else wave
