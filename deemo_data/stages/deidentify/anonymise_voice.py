"""Change whose voice it is: each speaker towards a common voice and away again by the secret, or as the paper did it."""

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
from deemo_data.media.sound import SOUND_RATE, read_sound, read_wav, write_wav

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RATE = SOUND_RATE
FADE = 160  # samples: 10 ms from one voice to the next, and into and out of silence
LENGTH_WITHIN = 320  # samples, 20 ms: by so much a converter may miss the length
SUBJECT = "subject"


@dataclass(frozen=True)
class AnonymiseVoice:
    """The clip's sound in other voices, 16-bit mono WAV at 16 kHz, and its prosody; muted where a name is said.

    method       normalise: towards a common voice, then disturbed by the secret, anew for each speaker of each clip
                 mcadams: Patino et al., "Speaker anonymisation using the McAdams coefficient" (arXiv 2011.01130)
                 command: a voice converter of yours, asked once for each speaker of a clip
    low, high    mcadams: range of the coefficient; 1 changes nothing, 0.5 to 0.9 is the Voice Privacy Challenge's range
    per          mcadams: one coefficient a speaker in all clips, or another in each clip ("utterance")
    command      what to type, with {input} and {output} (WAV files) and {seed}, a number made from the secret
    interviewer  anonymise, or mute
    sound        voice, or prosody: the sound track is silent, and only the curves tell how something was said

    Speech outside any turn is taken for the subject's. Where turns overlap, the one that began later is heard.
    """

    method: Literal["normalise", "mcadams", "command"] = "normalise"
    low: float = 0.5
    high: float = 0.9
    per: Literal["speaker", "utterance"] = "speaker"
    command: str = ""
    interviewer: Literal["anonymise", "mute"] = "anonymise"
    sound: Literal["voice", "prosody"] = "voice"

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "subject", "turns", "roles", "mute_spans", "secret")
    makes: ClassVar[dict[str, str]] = {"voice": "voice.wav", "prosody": "prosody.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < 1:
            what = f"anonymise_voice: the coefficient's range {self.low} to {self.high} is not below 1"
            raise ConfigError(what, "In deemo.toml write, say: low = 0.5 and high = 0.9")
        if self.method == "command" and not _can_be_run(self.command):
            what = "anonymise_voice: the command does not name {input} and {output}, or a quotation mark is missing in it"
            raise ConfigError(what, 'In deemo.toml write, say: command = "convert --seed {seed} {input} {output}"')

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.tracks import prosody

        wave = read_sound(clip).astype(np.float64)
        if not np.isfinite(wave).all():
            raise MediaError(f"clip {clip.id}: its sound holds samples that are no numbers", "Repair the source's sound track")
        turns, roles, spans = (json.loads(clip.path(name).read_text()) for name in ("turns", "roles", "mute_spans"))
        zero = clip.grid.ms_at(clip.first_frame)
        owners = owners_of(turns["turns"], roles["speakers"], zero, len(wave))
        silent = np.zeros(len(wave), bool)
        for start, end in spans["spans"]:
            silent[samples_between(start, end, zero)] = True
        for speaker, role in roles["speakers"].items():
            if role == "interviewer" and self.interviewer == "mute" and speaker in owners:
                silent |= owners.pop(speaker)
        voice = self._changed(wave, owners, clip, out) * audible(silent)
        prosody.write(prosody.prosody(voice), out / self.makes["prosody"])
        write_wav(out / self.makes["voice"], voice if self.sound == "voice" else np.zeros(len(voice)))
        return {}

    def _changed(
        self, wave: NDArray[np.float64], owners: dict[str, NDArray[np.bool_]], clip: Clip, out: Path
    ) -> NDArray[np.float64]:
        """The sound (n,) of the speakers in `owners`, each in the voice made for them; nothing of anybody else."""
        import numpy as np

        from deemo_data.stages.voices import common_voice, conversion, mcadams

        made = np.zeros(len(wave))
        for speaker, share in zip(owners, shares(owners.values()), strict=True):
            if not np.any(own := wave * share):
                continue
            drawn = common_voice.key_of(clip.facts["secret"], clip.source, speaker, clip.start_ms)
            match self.method:
                case "normalise":
                    made += conversion.change(own, common_voice.Draws.of(drawn))
                case "mcadams":
                    who = clip.facts["subject"] if speaker == SUBJECT else f"{clip.source}|{speaker}"
                    who = who if self.per == "speaker" else f"{clip.source}|{speaker}|{clip.start_ms}"
                    coefficient = mcadams.coefficient_of(clip.facts["secret"], who, self.low, self.high)
                    made += mcadams.at_level_of(own, mcadams.mcadams(own, coefficient))
                case "command":
                    seed = int.from_bytes(drawn[:4], "big")
                    with tempfile.TemporaryDirectory(dir=out) as aside:
                        made += (share > 0) * converted(self.command, own, seed, Path(aside))
        return made


def converted(command: str, wave: NDArray[np.float64], seed: int, folder: Path) -> NDArray[np.float64]:
    """What the user's program makes of a wave (n,), as long as that. It reads {input} and writes {output}: 16-bit mono at 16 kHz.

    No shell is started. Raises MediaError unless it ends with status 0 and a WAV that is within 20 ms as long.
    """
    import numpy as np

    given, taken = folder / "in.wav", folder / "out.wav"
    write_wav(given, wave)
    parts = [p.replace("{input}", str(given)).replace("{output}", str(taken)) for p in shlex.split(command)]
    program, advice = Path(parts[0]).name, "Type the command of [anonymise_voice] yourself, on a WAV of 16 kHz, mono, 16 bit"
    try:
        status = ffmpeg.run_command([p.replace("{seed}", str(seed)) for p in parts])
        if status:
            raise MediaError(f"the voice converter {program} ended with status {status}", advice)
        with wav.open(str(taken), "rb") as sound:
            form = (sound.getframerate(), sound.getnchannels(), sound.getsampwidth())
        if form != (RATE, 1, 2):
            raise MediaError(f"the voice converter {program} wrote (rate, channels, bytes) {form} and not {(RATE, 1, 2)}", advice)
        made = read_wav(taken).astype(np.float64)
    except (OSError, EOFError, wav.Error) as e:
        raise MediaError(f"the voice converter {program} made no sound: {type(e).__name__}", advice) from e
    if abs(len(made) - len(wave)) > LENGTH_WITHIN:
        raise MediaError(f"the voice converter {program} made {len(made)} samples of {len(wave)}", advice)
    return np.pad(made, (0, max(len(wave) - len(made), 0)))[: len(wave)]


def _can_be_run(command: str) -> bool:
    try:
        said = " ".join(shlex.split(command))
    except ValueError:
        return False
    return "{input}" in said and "{output}" in said


def owners_of(turns: Sequence[Facts], roles: dict[str, str], zero_ms: int, samples: int) -> dict[str, NDArray[np.bool_]]:
    """Whose each sample is: speaker -> (samples,), every sample of exactly one. Subjects are "subject", others their letter."""
    import numpy as np

    known, owner = [SUBJECT], np.zeros(samples, np.int16)
    for turn in sorted(turns, key=lambda t: (t["start_ms"], t["end_ms"])):
        who = SUBJECT if roles.get(turn["speaker"]) == SUBJECT else str(turn["speaker"])
        known += [who] if who not in known else []
        owner[samples_between(turn["start_ms"], turn["end_ms"], zero_ms)] = known.index(who)
    return {name: owner == number for number, name in enumerate(known) if (owner == number).any()}


def samples_between(start_ms: int, end_ms: int, zero_ms: int) -> slice:
    """The samples of a clip that starts at `zero_ms`, for a span on the source's clock."""
    return slice(max((start_ms - zero_ms) * RATE // 1000, 0), max((end_ms - zero_ms) * RATE // 1000, 0))


def shares(masks: Iterable[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
    """Each mask (n,) as a gain that rises and falls within 10 ms; where masks meet, their gains add up to one."""
    return [_faded(mask) for mask in masks]


def audible(silent: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The gain (n,) that is zero on all of `silent` and comes and goes within the 10 ms around it."""
    import numpy as np

    reach = np.convolve(silent, np.ones(FADE + 1), mode="same")[: len(silent)] > 0.5 if len(silent) else silent
    return np.where(silent, 0, 1 - _faded(reach))


def _faded(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean of the 10 ms around each sample; fewer at the ends."""
    import numpy as np

    added = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
    place = np.arange(len(mask))
    first, last = np.maximum(place - FADE // 2, 0), np.minimum(place + FADE // 2 + 1, len(mask))
    return (added[last] - added[first]) / np.maximum(last - first, 1)
