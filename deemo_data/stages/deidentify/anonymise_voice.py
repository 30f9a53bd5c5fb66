"""AnonymiseVoice: gives every speaker of a clip another voice and mutes the spans in which a name is said.

In:  the clip's sound, who speaks when, their roles, and the spans to mute. Out: a WAV, and its prosody.
This file assigns each sample to one speaker and joins the converted voices; the conversions are in stages/voices.
"""

from __future__ import annotations

import json
import shlex
import tempfile
import wave as wav
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from deemo_data.clip import Clip, Facts
from deemo_data.errors import ConfigError, MediaError
from deemo_data.media import ffmpeg
from deemo_data.media.sound import SAMPLE_RATE_HZ, read_sound, read_wav, write_wav
from deemo_data.notices import Notice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FADE_SAMPLES = 160  # 10 ms from one voice to the next, and into and out of silence
MAX_LENGTH_ERROR_SAMPLES = 320  # 20 ms: how far a converter's output may differ in length
SUBJECT = "subject"
TOLD_SHARE = 0.02  # of the loud time of a clip
TOLD_S = 1.0
MIN_UNHEARD_SAMPLES = SAMPLE_RATE_HZ  # shorter quiet stretches in a turn are pauses


@dataclass(frozen=True)
class AnonymiseVoice:
    """Makes `voice`, the clip's sound in other voices (16-bit mono WAV at 16 kHz, muted where a name is said), and its `prosody`.

    method       normalise: to a common voice, moved by offsets drawn from the secret for each speaker of each clip
                 mcadams: Patino et al., "Speaker anonymisation using the McAdams coefficient" (arXiv 2011.01130)
                 command: the user's own voice converter, called once per speaker of a clip
    low, high    mcadams: range of the coefficient; 1 changes nothing, 0.5 to 0.9 is the Voice Privacy Challenge's range
    per          mcadams: one coefficient per speaker for all clips, or another one per clip ("utterance")
    command      the command line, with {input} and {output} (WAV files) and {seed}, a number derived from the secret
    interviewer  anonymise, or mute
    sound        voice, or prosody: the sound track is silent, and only the curves show how something was said

    Speech outside all turns counts as the subject's. Where turns overlap, the one that begins later is heard.

    The conversion brings every speaker to one level. So that this does not make audible what was too quiet when names were looked
    for, the result is nowhere louder than what Whisper heard, but for 6 dB, and what was too quiet to be heard at all is left out
    (voices/limiter.py). Both are told.
    """

    method: Literal["normalise", "mcadams", "command"] = "normalise"
    low: float = 0.5
    high: float = 0.9
    per: Literal["speaker", "utterance"] = "speaker"
    command: str = ""
    interviewer: Literal["anonymise", "mute"] = "anonymise"
    sound: Literal["voice", "prosody"] = "voice"

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = (
        "source",
        "grid",
        "has_sound",
        "sound",
        "subject",
        "turns",
        "roles",
        "mute_spans",
        "secret",
    )
    makes: ClassVar[dict[str, str]] = {"voice": "voice.wav", "prosody": "prosody.parquet"}
    tells: ClassVar[tuple[str, ...]] = ("anonymise_voice_notices",)

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < 1:
            what = f"anonymise_voice: the coefficient's range {self.low} to {self.high} is not below 1"
            raise ConfigError(what, "In deemo.toml write, say: low = 0.5 and high = 0.9")
        if self.method == "command" and not _is_usable(self.command):
            what = "anonymise_voice: the command does not name {input} and {output}, or a quotation mark is missing in it"
            raise ConfigError(what, 'In deemo.toml write, say: command = "convert --seed {seed} {input} {output}"')

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.media import levels
        from deemo_data.stages.voices.limiter import hide_unheard, limit_to_heard
        from deemo_data.tracks import prosody

        wave = read_sound(clip).astype(np.float64)
        if not np.isfinite(wave).all():
            raise MediaError(f"clip {clip.id}: its sound holds samples that are no numbers", "Repair the source's sound track")
        turns, roles, spans = (json.loads(clip.path(name).read_text()) for name in ("turns", "roles", "mute_spans"))
        zero_ms = clip.grid.ms_at(clip.first_frame)
        masks = mask_speakers(turns["turns"], roles["speakers"], zero_ms, len(wave))
        silent = np.zeros(len(wave), bool)
        for start, end in spans["spans"]:
            silent[samples_between(start, end, zero_ms)] = True
        for speaker, role in roles["speakers"].items():
            if role == "interviewer" and self.interviewer == "mute" and speaker in masks:
                silent |= masks.pop(speaker)
        [heard] = levels.raise_quiet([wave.astype(np.float32)])
        voice, lowered_share = limit_to_heard(self._convert_speakers(hide_unheard(wave), masks, clip, out), heard)
        voice *= mute_gain(silent)
        prosody.write_prosody(prosody.measure_prosody(voice), out / self.makes["prosody"])
        write_wav(out / self.makes["voice"], voice if self.sound == "voice" else np.zeros(len(voice)))
        notices = []
        unheard_s = measure_unheard_turns(wave, turns["turns"], zero_ms)
        if unheard_s >= TOLD_S:
            text = f"{unheard_s:.0f} s of its speech are left out of the sound: they are too quiet to look for names in them"
            notices.append(Notice("voice_left_out", text))
        if lowered_share >= TOLD_SHARE:
            text = f"{lowered_share:.0%} of its speech is released softer than the rest: it was too quiet to look for names in it"
            notices.append(Notice("voice_kept_quiet", text))
        return {"anonymise_voice_notices": [n.to_fact() for n in notices]}

    def _convert_speakers(
        self, wave: NDArray[np.float64], masks: dict[str, NDArray[np.bool_]], clip: Clip, out: Path
    ) -> NDArray[np.float64]:
        """The sound (n,) of the speakers in `masks`, each in another voice; other speakers are silent."""
        import numpy as np

        from deemo_data.stages.voices import common_voice, conversion, mcadams

        voices = np.zeros(len(wave))
        for speaker, gain in zip(masks, crossfade_gains(masks.values()), strict=True):
            if not np.any(speech := wave * gain):
                continue
            key = common_voice.derive_voice_key(clip.facts["secret"], clip.source, speaker, clip.start_ms)
            match self.method:
                case "normalise":
                    voices += conversion.convert_voice(speech, common_voice.VoiceOffsets.draw(key))
                case "mcadams":
                    name = clip.facts["subject"] if speaker == SUBJECT else f"{clip.source}|{speaker}"
                    name = name if self.per == "speaker" else f"{clip.source}|{speaker}|{clip.start_ms}"
                    coefficient = mcadams.draw_coefficient(clip.facts["secret"], name, self.low, self.high)
                    voices += mcadams.match_level(speech, mcadams.apply_mcadams(speech, coefficient))
                case "command":
                    seed = int.from_bytes(key[:4], "big")
                    with tempfile.TemporaryDirectory(dir=out) as folder:
                        voices += (gain > 0) * run_converter(self.command, speech, seed, Path(folder))
        return voices


def run_converter(command: str, wave: NDArray[np.float64], seed: int, folder: Path) -> NDArray[np.float64]:
    """Run the user's converter on a wave (n,) and return its output, padded or cut to (n,).

    The program reads {input} and writes {output}, both 16-bit mono WAV at 16 kHz, in `folder`. No shell is started.
    Raises MediaError unless it ends with status 0 and writes a WAV whose length differs by at most 20 ms.
    """
    import numpy as np

    in_path, out_path = folder / "in.wav", folder / "out.wav"
    write_wav(in_path, wave)
    parts = [p.replace("{input}", str(in_path)).replace("{output}", str(out_path)) for p in shlex.split(command)]
    program, advice = Path(parts[0]).name, "Type the command of [anonymise_voice] yourself, on a WAV of 16 kHz, mono, 16 bit"
    try:
        status = ffmpeg.run_command([p.replace("{seed}", str(seed)) for p in parts])
        if status:
            raise MediaError(f"the voice converter {program} ended with status {status}", advice)
        with wav.open(str(out_path), "rb") as sound:
            form = (sound.getframerate(), sound.getnchannels(), sound.getsampwidth())
        wanted = (SAMPLE_RATE_HZ, 1, 2)
        if form != wanted:
            raise MediaError(f"the voice converter {program} wrote (rate, channels, bytes) {form} and not {wanted}", advice)
        output = read_wav(out_path).astype(np.float64)
    except (OSError, EOFError, wav.Error) as e:
        raise MediaError(f"the voice converter {program} made no sound: {type(e).__name__}", advice) from e
    if abs(len(output) - len(wave)) > MAX_LENGTH_ERROR_SAMPLES:
        raise MediaError(f"the voice converter {program} made {len(output)} samples of {len(wave)}", advice)
    return np.pad(output, (0, max(len(wave) - len(output), 0)))[: len(wave)]


def _is_usable(command: str) -> bool:
    try:
        arguments = " ".join(shlex.split(command))
    except ValueError:
        return False
    return "{input}" in arguments and "{output}" in arguments


def mask_speakers(turns: Sequence[Facts], roles: dict[str, str], zero_ms: int, samples: int) -> dict[str, NDArray[np.bool_]]:
    """Assign every sample to exactly one speaker: {speaker: mask (samples,)}.

    The subject is called "subject", whatever the letter in the turns; others keep their letter. Times are on the source's clock.
    """
    import numpy as np

    speakers, owner = [SUBJECT], np.zeros(samples, np.int16)
    for turn in sorted(turns, key=lambda t: (t["start_ms"], t["end_ms"])):
        speaker = SUBJECT if roles.get(turn["speaker"]) == SUBJECT else str(turn["speaker"])
        speakers += [speaker] if speaker not in speakers else []
        owner[samples_between(turn["start_ms"], turn["end_ms"], zero_ms)] = speakers.index(speaker)
    return {speaker: owner == number for number, speaker in enumerate(speakers) if (owner == number).any()}


def samples_between(start_ms: int, end_ms: int, zero_ms: int) -> slice:
    """The samples of a span on the source's clock, in a clip that starts at `zero_ms`."""
    return slice(*(max((ms - zero_ms) * SAMPLE_RATE_HZ // 1000, 0) for ms in (start_ms, end_ms)))


def measure_unheard_turns(wave: NDArray[np.float64], turns: Sequence[Facts], zero_ms: int) -> float:
    """Seconds of the turns that are too quiet for the listeners, in stretches of a second or more, without digital silence."""
    import numpy as np

    from deemo_data.media import levels

    in_turns = np.zeros(len(wave), bool)
    for turn in turns:
        in_turns[samples_between(turn["start_ms"], turn["end_ms"], zero_ms)] = True
    edges = np.flatnonzero(np.diff(levels.find_unheard(wave) & in_turns, prepend=False, append=False))
    stretches = [(a, b) for a, b in edges.reshape(-1, 2) if b - a >= MIN_UNHEARD_SAMPLES and wave[a:b].any()]
    return sum(b - a for a, b in stretches) / SAMPLE_RATE_HZ


def crossfade_gains(masks: Iterable[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
    """Masks (n,) as gains that rise and fall within 10 ms; where two masks meet, their gains add up to one."""
    return [_smooth(mask) for mask in masks]


def mute_gain(silent: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A gain (n,) that is zero wherever `silent` is true, and falls and rises within the 10 ms before and after."""
    import numpy as np

    reach = np.convolve(silent, np.ones(FADE_SAMPLES + 1), mode="same")[: len(silent)] > 0.5 if len(silent) else silent
    return np.where(silent, 0, 1 - _smooth(reach))


def _smooth(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean of the mask over the 10 ms around each sample; over fewer samples at the ends."""
    import numpy as np

    sums = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
    place = np.arange(len(mask))
    first, last = np.maximum(place - FADE_SAMPLES // 2, 0), np.minimum(place + FADE_SAMPLES // 2 + 1, len(mask))
    return (sums[last] - sums[first]) / np.maximum(last - first, 1)
