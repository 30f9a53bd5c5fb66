"""Channel voice: speaker verification and plain statistics on the changed voices; what is left of words and prosody."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deemo_data.audit.material import ChannelResult, Material, ResultLine
from deemo_data.reports.privacy_verdict import UNPROTECTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.audit.attacks.voice import Utterance
    from deemo_data.clip import Clip


def attack_voice(material: Material) -> ChannelResult:
    """Attack the voices of each profile, and measure word error rate and the correlation of F0 and energy."""
    from deemo_data.audit.attacks import voice as attacks
    from deemo_data.media import sound

    with_sound = [k for k, c in enumerate(material.clips) if c.facts["has_sound"]]
    if not with_sound:
        return ChannelResult(notes=["No clip has sound."])
    clips = [material.clips[k] for k in with_sound]
    material.watcher.on_stage("Voices", len(with_sound) * len(material.sides), 0)
    subjects = [c.facts["subject"] for c in clips]
    halve = len(set(subjects)) == len(subjects)
    before = [sound.read_sound(c) for c in clips]
    original, whole = (cut_utterances(clips, before, h) for h in (halve, False))
    lines: dict[tuple[str, str, str], ResultLine] = {}
    use: dict[str, ResultLine] = {}
    result = ChannelResult(notes=[HALVED_NOTE] if halve else [])
    for profile, side in material.sides.items():
        after = [sound.read_wav(side[k].path("voice")) for k in with_sound]
        changed, spoken = (cut_utterances(clips, after, h) for h in (halve, False))
        for row in attacks.attack_voices(original, changed):
            best = row.scenario == "lowest"
            name = "the best of them" if best else row.attacker
            weights = "ge2e-39373b" if row.attacker.startswith("GE2E") else ""
            line = ResultLine(row.scenario, name, row.measure, {}, "high" if row.measure == "EER" else "low", weights, row.note)
            lines.setdefault((row.scenario, name, row.measure), line).cells[profile] = row.score
            if best and row.score:
                result.notes.append(f"The lowest EER on {profile} is that of {row.attacker}.")
        for name, score in attacks.prosody_correlations(spoken, whole).items():
            use.setdefault(name, ResultLine(name, "", "correlation", {}, "")).cells[profile] = score
        wrong = attacks.asr_word_error_rate(spoken, whole)
        use.setdefault("words heard wrongly", ResultLine("words heard wrongly", "Whisper", "WER", {}, "")).cells[profile] = wrong
        for _ in with_sound:
            material.watcher.on_clip("Voices")
    ceiling = {key[1:]: line.cells[material.own_profile] for key, line in lines.items() if key[0] == "original"}
    eers = [score for (_, measure), score in ceiling.items() if score and measure == "EER"]
    ceiling["the best of them", "EER"] = min(eers, key=lambda s: s.value, default=None)
    result.lines = [line for line in lines.values() if line.attack != "original"]
    for line in result.lines:
        line.cells[UNPROTECTED] = ceiling.get((line.attacker, line.measure))
    result.use = list(use.values())
    return result


HALVED_NOTE = (
    "No subject has two clips. So each clip was cut in half and the halves were tried on each other: one recording, its room and "
    "its microphone help the attacker."
)


def cut_utterances(clips: Sequence[Clip], waves: Sequence[NDArray[np.float32]], halve: bool) -> list[Utterance]:
    """The turns of the subject in each clip, from original or changed sound; with `halve`, as two halves."""
    from deemo_data.audit.attacks.voice import Utterance

    result = []
    for clip, sound_of_clip in zip(clips, waves, strict=True):
        wave = subject_sound(clip, sound_of_clip)
        parts = [wave[: len(wave) // 2], wave[len(wave) // 2 :]] if halve else [wave]
        result += [Utterance(clip.facts["subject"], f"{clip.id}/{n}", part) for n, part in enumerate(parts)]
    return result


def subject_sound(clip: Clip, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """The subject's turns of a clip's sound (n,), joined; the whole sound where turns or roles are not known."""
    import numpy as np

    from deemo_data.media import sound

    if "turns" not in clip.files or "roles" not in clip.files:
        return wave
    speakers: dict[str, str] = json.loads(clip.path("roles").read_text())["speakers"]
    begin = clip.grid.ms_at(clip.first_frame)
    parts = [
        wave[
            max(0, (t["start_ms"] - begin) * sound.SAMPLE_RATE_HZ // 1000) : max(
                0, (t["end_ms"] - begin) * sound.SAMPLE_RATE_HZ // 1000
            )
        ]
        for t in json.loads(clip.path("turns").read_text())["turns"]
        if speakers.get(t["speaker"]) == "subject"
    ]
    return np.concatenate(parts) if any(len(p) for p in parts) else wave
