"""McAdams on one recording: ours and a loop over librosa.lpc, warm, by turns, CPU seconds; run by run.py in a venv with librosa.

usage: python bench/mcadams.py WAVE REPEATS   -> one line of JSON
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from scipy.signal import lfilter

from deemo_data.media.sound import read_wav
from deemo_data.stages.voices.mcadams import apply_mcadams

COEFFICIENT = 0.8


def loop(wave: Any) -> Any:
    """Frame by frame, as it is usually written: librosa's linear prediction, numpy's roots, scipy's filters."""
    count = math.ceil(len(wave) / 160) + 1
    padded = np.concatenate([np.zeros(160), wave, np.zeros(count * 160 - len(wave))])
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320))
    made = np.zeros_like(padded)
    for begin in range(0, count * 160, 160):
        frame = padded[begin : begin + 320] * window
        taps = librosa.lpc(frame, order=20)
        poles = np.roots(taps)
        angles = np.sign(poles.imag) * np.abs(np.angle(poles)) ** COEFFICIENT
        moved = np.where(poles.imag == 0, poles, np.abs(poles) * np.exp(1j * angles))
        made[begin : begin + 320] += lfilter([1], np.poly(moved).real, lfilter(taps, [1], frame)) * window
    return made[160 : 160 + len(wave)]


def main() -> None:
    wave = read_wav(Path(sys.argv[1])).astype(np.float64)
    ways = {"ours": lambda: apply_mcadams(wave, COEFFICIENT), "librosa": lambda: loop(wave)}
    said: dict[str, Any] = {"speech_s": len(wave) / 16_000, "difference": float(np.abs(ways["ours"]() - ways["librosa"]()).max())}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(int(sys.argv[2])):
        for name, way in ways.items():
            began = time.process_time()
            way()
            took[name].append(time.process_time() - began)
    for name, seconds in took.items():
        figures = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
        said[name] = {n: round(v, 4) for n, v in figures.items()}
    said["ratio"] = round(said["librosa"]["median"] / said["ours"]["median"], 3)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
