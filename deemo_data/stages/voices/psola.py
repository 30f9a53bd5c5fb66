"""TD-PSOLA: pitch and formants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.stages.voices.common_voice import RATE, TICK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def resung(
    wave: NDArray[np.float64], hertz: NDArray[np.float64], wanted: NDArray[np.float64], formants: float
) -> NDArray[np.float64]:
    """The wave (n,) at another F0, its formants at `formants` times their frequency, as long as before and in step with it.

    TD-PSOLA (Moulines and Charpentier 1990): grains of two periods around each pulse are set down at the new distance.
    A grain read faster has higher formants. Unvoiced sound is cut every 5 ms.
    """
    import numpy as np
    from scipy.signal import resample_poly

    tick = np.minimum((np.arange(len(wave)) + TICK // 2) // TICK, len(hertz) - 1)
    voiced = hertz[tick] > 0
    period = np.where(voiced, RATE / np.maximum(hertz[tick], 50), TICK)
    new_period = np.where(voiced, RATE / np.maximum(wanted[tick], 50), TICK)
    pulses, places = _pulses(wave, _marks(period), period, voiced), _marks(new_period)
    if len(pulses) < 2 or len(places) < 2:
        return wave.copy()
    source = pulses[np.searchsorted((pulses[1:] + pulses[:-1]) / 2, places)]
    half = period[source][:, None]
    reach = int(np.ceil(half.max() / formants))
    step = np.arange(-reach, reach + 1)
    read = step[None] * formants
    grain = np.where(np.abs(read) < half, 0.5 + 0.5 * np.cos(np.pi * read / half), 0)
    fine = resample_poly(wave, 2, 1)  # between its samples a straight line is near enough
    at = np.clip((source[:, None] + read) * 2, 0, len(fine) - 2.001)
    whole = at.astype(int)
    grain *= (fine[whole] + (fine[whole + 1] - fine[whole]) * (at - whole)) * np.sqrt(new_period[places][:, None] / half)
    where = (places[:, None] + step[None] + reach).ravel()
    made = np.bincount(where, grain.ravel(), len(wave) + 2 * reach + 1)[reach:][: len(wave)]
    return made.astype(np.float64)


def _marks(period: NDArray[np.float64]) -> NDArray[np.int64]:
    """Samples one `period` after the other."""
    import numpy as np

    marks: NDArray[np.int64] = np.flatnonzero(np.diff(np.floor(np.cumsum(1 / period)))) + 1
    return marks


def _pulses(
    wave: NDArray[np.float64], marks: NDArray[np.int64], period: NDArray[np.float64], voiced: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The marks of each voiced stretch moved onto its pulses: from its strongest both ways, each about a period on."""
    import numpy as np
    from scipy.signal import butter, sosfiltfilt

    low = sosfiltfilt(butter(2, [60, 1000], "bandpass", fs=RATE, output="sos"), wave)
    low = low * np.sign(np.mean(low**3) or 1)
    edges = np.flatnonzero(np.diff(voiced.astype(np.int8), prepend=0, append=0))
    found = [marks[~voiced[marks]]]
    for begin, end in edges.reshape(-1, 2):
        pulses = [begin + int(np.argmax(low[begin:end]))]
        for way in (-1, 1):
            at = pulses[0]
            while True:
                near, slack = at + way * int(period[at]), max(int(period[at] / 5), 1)
                if near - slack < begin or near + slack >= end:
                    break
                at = near - slack + int(np.argmax(low[near - slack : near + slack + 1]))
                pulses.append(at)
        found.append(np.array(pulses))
    return np.unique(np.concatenate(found))
