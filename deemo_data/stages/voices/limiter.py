"""Keeps a wave within full scale without clipping, and a changed voice no louder than what the listeners heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.media import levels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KNEE = 0.9  # share of full scale; only samples above it change
MARGIN_DB = 6.0  # a changed voice may be this much louder than what was heard: its loudness is spread another way
ALWAYS_ALLOWED_DB = -68.0  # about the level of the noise in pauses, which stays as even as it is
FAINT = 1e-5  # amplitude of the noise that stands for what nobody could hear: -100 dB
LOUD_DB = -45.0  # softer parts of a changed voice are pauses and breath
HEARD_HOPS = 5  # the loudest of the 0.5 s around counts as heard


def limit_peaks(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The wave (n,) with samples above the knee compressed smoothly, so that none exceeds 1."""
    import numpy as np

    excess = np.maximum(np.abs(wave) - KNEE, 0)
    return np.copysign(np.minimum(np.abs(wave), KNEE) + (1 - KNEE) * np.tanh(excess / (1 - KNEE)), wave)


def hide_unheard(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The wave (n,) with faint noise in place of what was too quiet for the listeners; digital silence stays."""
    import numpy as np

    noise = np.random.Generator(np.random.PCG64(0)).choice([-FAINT, FAINT], len(wave))  # the same for every recording
    return np.where(levels.find_unheard(wave) & (wave != 0), noise, wave)


def limit_to_heard(voice: NDArray[np.float64], heard: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """(`voice` lowered where it would be louder than `heard`, share of its loud time in which it was lowered by 3 dB or more).

    voice, heard  (n,) a changed voice, and the sound in which VAD, Whisper and the diariser looked for names

    Levels are those of 0.4 s, every 0.1 s. What nobody could hear when names were looked for must not become audible.
    """
    import numpy as np
    from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

    power, heard_power = (
        levels.measure_hops(levels.VoiceFilter(levels.MIN_VOICE_HZ).process(np.asarray(w, np.float64))) for w in (voice, heard)
    )
    if not len(power):
        return voice, 0.0
    level, heard_level = (levels.to_db(uniform_filter1d(p, levels.BLOCK_HOPS, mode="nearest")) for p in (power, heard_power))
    allowed = np.maximum(maximum_filter1d(heard_level, HEARD_HOPS, mode="nearest") + MARGIN_DB, ALWAYS_ALLOWED_DB)
    gain_db = np.minimum(allowed - level, 0)
    if not gain_db.any():
        return voice, 0.0
    loud = level > LOUD_DB
    gain = uniform_filter1d(minimum_filter1d(gain_db, 3, mode="nearest"), 3, mode="nearest")
    middles = (np.arange(len(gain)) + 0.5) * levels.HOP_SAMPLES
    factor = np.interp(np.arange(len(voice)), middles, 10 ** (gain / 20))
    return voice * factor, float((gain_db[loud] <= -3).mean()) if loud.any() else 0.0
