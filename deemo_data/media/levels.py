"""Measures a sound track: which of its channels are heard, how loud it is; and makes the copy of it that the listeners hear.

A plain average of the channels is wrong for many recordings: two channels in opposite phase cancel each other, and in 5.1 sound
the voice is in one channel of six. `choose_mix` looks at the whole recording.

Everything that listens (Silero, Whisper, the diariser) must hear at least as much as the public does. A voice at -79 dBFS would
be raised by the voice change, and the names in it with it. So sound is brought to level in two steps, both in this package:

    measured once per source   one gain for the whole recording (fact `sound`, `gain_db`), so that loud speech is at TARGET_DB.
                               `sound.read_sound` applies it: all stages begin with this sound.
    for the listeners only     `raise_quiet` raises what is still quiet, such as a second speaker far from the microphone, within
                               0.8 s and by up to MAX_RISE_DB. It never lowers anything.

The voice change keeps loud and soft apart, so it works on the first copy. What it makes may not be louder than what the listeners
heard in the second, and what is too quiet for them (`find_unheard`) is not released at all (stages/voices/limiter.py). Levels are
in dB relative to full scale (a sine of amplitude 1 is at -3), without what is below 100 Hz.

Measured with Silero and Whisper tiny on LibriSpeech: both hear the same at -25 as at -60, less at -75, nothing at -85.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.errors import MediaError
from deemo_data.notices import Notice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL_RATE_HZ = 16_000  # the rate at which all sound is measured; media/sound.py resamples to it
BLOCK_SAMPLES = 6_400  # 0.4 s: a recording is measured in such blocks
SILENCE_DB = -110.0  # digital silence, or the rounding of 16 bits at most
TARGET_DB = -27.0  # of loud speech; also the level at which changed voices are released
MAX_GAIN_DB = 80.0  # of one recording
LOUD_SHARE, LOUD_S = 0.05, 10.0  # the loud level is exceeded for that share of the sound, or that long where it is less
MIN_VOICE_HZ = 100  # lower sound does not count for a level
MIN_RAISED_HZ = 70  # lower sound is taken out of a recording that is raised: direct current and rumble would fill it

NAMED_MIXES = {"left": "1", "right": "2", "difference": "1-2"}
SILENT_BELOW_LOUDEST_DB = 40.0  # a channel that stays this far below the loudest one is left out
STEADY_RANGE_DB, LIVELY_RANGE_DB = 6.0, 12.0  # a channel with the first range is noise beside one with the second
HEARD_RANGE_DB = 25.0  # below a channel's loud level; correlations count where both channels are within it
MIN_CORRELATION = 0.5  # of two channels of the same sound, in phase or in opposite phase
MIN_OPPOSED_SHARE, MIN_OPPOSED_BLOCKS = 0.02, 2  # opposite phase in fewer blocks is chance
LOW_EFFECTS = "LFE"  # FFmpeg's name of the channel for low effects, which carries no voice

LISTENED_DB = -30.0  # quiet stretches are raised to this level for the listeners
MAX_RISE_DB = 45.0
HOP_SAMPLES = 1_600  # 0.1 s between the values of that gain
BLOCK_HOPS, REACH_HOPS = 4, 8  # the gain follows the loudest 0.4 s within 0.8 s before and after


def to_db(power: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean squares as dB relative to full scale, at least -120."""
    import numpy as np

    return 10 * np.log10(np.maximum(power, 1e-12))


def find_loud_level(power: NDArray[np.floating]) -> float:
    """The level (dB) of the loud blocks of a recording, from the power of each block of 0.4 s.

    It is exceeded for 5 % of the time that is not silent, but for 10 s at most, so that a few minutes of speech in hours of
    silence count. The loudest block alone never decides, because it may be a click. -120 for silence.
    """
    import numpy as np

    sounding = np.sort(to_db(power)[to_db(power) > SILENCE_DB])[::-1]
    if not len(sounding):
        return -120.0
    most = round(LOUD_S * LEVEL_RATE_HZ / BLOCK_SAMPLES)
    return float(sounding[min(max(1, min(round(LOUD_SHARE * len(sounding)), most)), len(sounding) - 1)])


def choose_gain(loud_db: float) -> float:
    """The gain (dB) of a recording with that loud level: 0 where it is loud enough, and for silence."""
    return 0.0 if loud_db <= SILENCE_DB else round(min(max(TARGET_DB - loud_db, 0.0), MAX_GAIN_DB), 1)


class VoiceFilter:
    """A high-pass filter that is fed piece by piece: it takes out direct current and rumble.

    The first sample counts as if it had lasted for ever, so that direct current makes no click.
    """

    def __init__(self, lowest_hz: int, order: int = 2) -> None:
        from scipy.signal import butter

        self._sections = butter(order, lowest_hz, "highpass", fs=LEVEL_RATE_HZ, output="sos")
        self._state: Any = None

    def process(self, wave: NDArray[np.floating]) -> NDArray[np.float64]:
        """The next samples (n,) or (n, channels) of the sound, filtered."""
        import numpy as np
        from scipy.signal import sosfilt, sosfilt_zi

        if not len(wave):
            return np.asarray(wave, np.float64)
        if self._state is None:
            rest = sosfilt_zi(self._sections)
            self._state = rest.reshape(*rest.shape, *(1,) * (wave.ndim - 1)) * np.asarray(wave[0], np.float64)
        filtered, self._state = sosfilt(self._sections, wave, axis=0, zi=self._state)
        return np.asarray(filtered)


class SoundMeter:
    """Measures a sound track that is fed piece by piece: the covariance of its channels in blocks of 0.4 s.

    It keeps channels x channels numbers per block, 70 kB per hour for stereo, and no sound. A rest of less than a block counts
    where it is half a block or all there is.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._filter = VoiceFilter(MIN_VOICE_HZ)
        self._blocks: list[NDArray[np.float32]] = []
        self._rest: NDArray[np.float64] | None = None  # filtered, less than a block
        self._pending: list[NDArray[np.floating]] = []  # not filtered yet: in larger pieces that is faster
        self._pending_samples = 0

    def add(self, sound: NDArray[np.floating]) -> None:
        """Take in the next samples (n, channels) at 16 kHz."""
        self._pending.append(sound)
        self._pending_samples += len(sound)
        if self._pending_samples >= 16 * BLOCK_SAMPLES:
            self._work()

    def compute_covariance(self) -> NDArray[np.float32]:
        """(blocks, channels, channels) of all that was taken in."""
        import numpy as np

        rest = self._work()
        parts = list(self._blocks)
        if len(rest) >= BLOCK_SAMPLES // 2 or (len(rest) and not sum(len(p) for p in parts)):
            parts.append((rest.T @ rest / len(rest)).astype(np.float32)[None])
        return np.concatenate(parts) if parts else np.zeros((0, self.channels, self.channels), np.float32)

    def _work(self) -> NDArray[np.float64]:
        """Measure what is pending, in whole blocks; the rest (n, channels), which is kept for the next time."""
        import numpy as np

        wave = np.zeros((0, self.channels)) if self._rest is None else self._rest
        if self._pending:
            wave = np.concatenate([wave, self._filter.process(np.concatenate(self._pending))])
        self._pending, self._pending_samples = [], 0
        whole = len(wave) // BLOCK_SAMPLES * BLOCK_SAMPLES
        if whole:
            self._blocks.append(_compute_covariance(wave[:whole]))
        self._rest = wave[whole:].copy()
        return self._rest


def _compute_covariance(wave: NDArray[np.float64]) -> NDArray[np.float32]:
    """The covariance of whole blocks: (blocks, channels, channels)."""
    import numpy as np

    blocks = wave.reshape(-1, BLOCK_SAMPLES, wave.shape[1])
    return np.asarray(np.matmul(blocks.transpose(0, 2, 1), blocks) / BLOCK_SAMPLES, np.float32)


# ── the channels ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Mix:
    """How the channels of a sound track become one.

    text     as in the fact `sound` and in the column `mix` of a source table: see `read_mix`
    notices  what is unusual about it
    """

    text: str
    notices: tuple[Notice, ...] = ()


def read_mix(text: str, channels: int) -> NDArray[np.float32]:
    """The weights (channels,) of a mix; they are multiplied with the channels and added.

    `mean` averages all channels. `left`, `right` and `difference` stand for 1, 2 and 1-2. Otherwise numbers of channels from 1,
    joined by + and - : 3, 1+2, 1-2; a channel after a minus is turned over. Raises MediaError for anything else, and for a
    channel that is not there.
    """
    import numpy as np

    if text == "mean":
        return np.full(channels, 1 / max(channels, 1), np.float32)
    numbers = NAMED_MIXES.get(text, text)
    advice = "Write mean, left, right, difference, or numbers of channels such as 3, 1+2 or 1-2"
    if not re.fullmatch(r"\d{1,3}([+-]\d{1,3})*", numbers):
        raise MediaError(f"{text!r} is no mix of channels", advice)
    weights = np.zeros(channels, np.float32)
    terms = re.findall(r"([+-]?)(\d+)", numbers)
    for sign, number in terms:
        if not 1 <= int(number) <= channels:
            raise MediaError(f"the mix {text!r} names channel {number}, and the sound has {channels}", advice)
        weights[int(number) - 1] += -1 if sign == "-" else 1
    return weights / np.float32(len(terms))


def format_mix(signs: NDArray[np.integer]) -> str:
    """The text of a mix of channels with these signs (channels,): 1 is used, -1 turned over, 0 left out."""
    used = [(int(c), int(s)) for c, s in enumerate(signs, 1) if s]
    if len(used) == len(signs) and all(s == used[0][1] for _, s in used):
        return "mean"
    text = "".join(f"{'+' if s == used[0][1] else '-'}{c}" for c, s in used).removeprefix("+")
    return next((name for name, numbers in NAMED_MIXES.items() if len(signs) == 2 and numbers == text), text)


def choose_mix(covariance: NDArray[np.float32], names: tuple[str, ...] = ()) -> Mix:
    """The mix of a recording, from the covariance of its channels in each block: (blocks, channels, channels).

    names  FFmpeg's names of the channels, such as FL, FR, FC, LFE; may be empty

    A channel is left out that is silent, holds only steady noise, or is in opposite phase to the loudest one at times and in
    phase at others. One that is always in opposite phase is turned over. Of ambisonic sound the first channel is taken, which
    hears all directions.
    """
    import numpy as np

    blocks, channels = covariance.shape[:2]
    if channels < 2 or not blocks:
        return Mix("mean")
    if any(name.startswith("AMBI") for name in names):
        return Mix("1", (Notice("channels_left_out", f"its sound is ambisonic: channel 1 of {channels} is used"),))
    power = np.diagonal(covariance, axis1=1, axis2=2)
    loud = np.array([find_loud_level(p) for p in power.T])
    if loud.max() <= SILENCE_DB:
        return Mix("mean")
    quiet = np.array([np.percentile(to_db(p), 10) for p in power.T])
    is_lively = loud - quiet >= LIVELY_RANGE_DB
    used = loud > max(loud.max() - SILENT_BELOW_LOUDEST_DB, SILENCE_DB)
    if (used & is_lively).any():
        used &= loud - quiet >= STEADY_RANGE_DB
    voiced = np.array([name != LOW_EFFECTS for name in names] if len(names) == channels else [True] * channels)
    used = used & voiced if (used & voiced).any() else used
    reference = int(np.argmax(np.where(used, loud, -np.inf)))
    signs = used.astype(np.int8)
    notices = []
    for other in np.flatnonzero(used):
        if other != reference:
            opposed, agreeing = _measure_phase(covariance, loud, reference, int(other))
            if opposed:
                signs[other] = 0 if agreeing else -1
            if opposed and agreeing:
                text = f"channels {reference + 1} and {other + 1} are in opposite phase for {opposed:.0%} of the loud time and "
                notices.append(Notice("opposite_phase_in_parts", f"{text}in phase for {agreeing:.0%}: {other + 1} is left out"))
            elif opposed:
                text = f"channels {reference + 1} and {other + 1} are in opposite phase and would cancel each other"
                notices.append(Notice("opposite_phase", f"{text}: one is turned over"))
    if left_out := [str(c + 1) for c in np.flatnonzero(~used)]:
        text = (
            f"{len(left_out)} of its {channels} channels ({', '.join(left_out)}) hold silence, steady noise or low effects only"
        )
        notices.append(Notice("channels_left_out", f"{text}: they are left out"))
    return Mix(format_mix(signs), tuple(notices))


def _measure_phase(covariance: NDArray[np.float32], loud: NDArray[np.float64], one: int, other: int) -> tuple[float, float]:
    """The shares of the time in which two channels are in opposite phase, and in phase; 0 where it is too little to count."""
    import numpy as np

    power = np.diagonal(covariance, axis1=1, axis2=2)[:, [one, other]]
    both = (to_db(power) > loud[[one, other]] - HEARD_RANGE_DB).all(axis=1)
    if not both.any():
        return 0.0, 0.0
    correlation = covariance[both, one, other] / np.sqrt(power[both].prod(axis=1))
    shares = []
    for found in (correlation < -MIN_CORRELATION, correlation > MIN_CORRELATION):
        enough = found.mean() >= MIN_OPPOSED_SHARE and found.sum() >= min(MIN_OPPOSED_BLOCKS, len(found))
        shares.append(float(found.mean()) if enough else 0.0)
    return shares[0], shares[1]


# ── for the listeners ────────────────────────────────────────────────────────────────────────────────────────


def raise_quiet(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Sound in blocks of whole hops of 0.1 s (the last of any length), with its quiet stretches raised to LISTENED_DB.

    The gain of a moment depends on the 2.4 s before and after it alone, so that it is the same for a whole recording and for a
    part of it. One block is kept back.
    """
    import numpy as np

    voice = VoiceFilter(MIN_VOICE_HZ)
    before: NDArray[np.float64] = np.zeros(0)
    held: tuple[NDArray[np.float32], NDArray[np.float64]] | None = None
    for block in blocks:
        power = measure_hops(voice.process(block))
        if held:
            yield _raise_block(held[0], before, held[1], power)
            before = np.concatenate([before, held[1]])[-_CONTEXT_HOPS:]
        held = block, power
    if held:
        yield _raise_block(held[0], before, held[1], np.zeros(0))


_CONTEXT_HOPS = 2 * (BLOCK_HOPS + REACH_HOPS)


def measure_hops(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean square of each 0.1 s of a wave (n,); the last may be shorter."""
    import numpy as np

    starts = np.arange(0, len(wave), HOP_SAMPLES)
    if not len(starts):
        return np.zeros(0)
    return np.asarray(np.add.reduceat(np.square(wave), starts) / np.diff([*starts, len(wave)]))


def _raise_block(
    block: NDArray[np.float32], before: NDArray[np.float64], power: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The block with its quiet stretches raised; `before` and `after` are powers of the hops beside it."""
    import numpy as np

    around = np.concatenate([before, power, after[:_CONTEXT_HOPS]])
    gain_db = compute_rise(around)
    if not gain_db[max(len(before) - 1, 0) : len(before) + len(power) + 1].any():
        return block
    middles = (np.arange(len(around)) - len(before) + 0.5) * HOP_SAMPLES
    factor = np.interp(np.arange(len(block)), middles, 10 ** (gain_db / 20))
    return np.clip(block * factor, -1, 1).astype(np.float32)


def compute_rise(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gain in dB, 0 to MAX_RISE_DB, of each hop of 0.1 s, from the power of the hops."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    if not len(power):
        return np.zeros(0)
    return uniform_filter1d(np.clip(LISTENED_DB - _find_loudest(power), 0, MAX_RISE_DB), 2 * REACH_HOPS - 1, mode="nearest")


def find_unheard(wave: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(n,) where the sound of `read_sound` is so quiet that MAX_RISE_DB does not bring it to the level of listening.

    There Whisper hears nothing or other words, even of speech: so nothing of it may be released.
    """
    import numpy as np

    power = measure_hops(VoiceFilter(MIN_VOICE_HZ).process(np.asarray(wave, np.float64)))
    if not len(power):
        return np.zeros(len(wave), bool)
    return np.repeat(_find_loudest(power) < LISTENED_DB - MAX_RISE_DB, HOP_SAMPLES)[: len(wave)]


def _find_loudest(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The level (dB) of the loudest 0.4 s around each hop, from the power of the hops."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    level = to_db(uniform_filter1d(power, BLOCK_HOPS, mode="nearest"))
    return maximum_filter1d(level, 2 * REACH_HOPS + 1, mode="nearest")
