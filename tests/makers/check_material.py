"""Material for the checks with planted signals, leaks and short cuts; without files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from deemo_data.baseline.checks.check import Material
from deemo_data.baseline.checks.features import FeatureTables
from deemo_data.baseline.checks.statistics import PERMUTATION_ROUNDS
from tests.makers.probe_examples import make_example

EMOTIONS = ("happy", "sad", "angry")


def make_material(
    subjects: int = 24, each: int = 10, seed: int = 0, *, signal: float = 0.0, voice: float = 0.0, who: float = 0.0,
    clustered: bool = False, shuffled: bool = False, lengths: str = "", words: bool = False, splits: bool = True,
) -> Material:  # fmt: skip
    """Clips without files. Their features of body and voice are noise, plus the planted effects.

    each           clips per subject
    signal, voice  size of the emotion's effect on the body and on the voice
    who            size of the subject's effect on the body
    clustered      each subject has the same emotion in most clips
    shuffled       the emotions are permuted afterwards
    lengths        "straight" or "u": the clip length depends on the emotion
    words          the transcript names the emotion
    splits         a third of the subjects is in the test split; False: all are in the train split
    """
    rng = np.random.default_rng(seed)
    rows, body, sound, limbs = [], [], [], []
    means, habits = rng.standard_normal((2, len(EMOTIONS), 12)), rng.standard_normal((subjects, 12))
    for s in range(subjects):
        usual = int(rng.integers(len(EMOTIONS)))
        for n in range(each):
            emotion = usual if clustered and rng.random() < 0.8 else int(rng.integers(len(EMOTIONS)))
            ms = int(rng.integers(4000, 6000))
            if lengths == "straight":
                ms = 4000 + 700 * emotion + int(rng.integers(0, 900))
            elif lengths == "u":
                ms = int(
                    rng.integers(4800, 5200) if emotion == 0 else rng.choice([rng.integers(4000, 4700), rng.integers(5300, 6000)])
                )
            split = "train" if s < subjects * 2 // 3 or not splits else "test"
            said = f"today I am {EMOTIONS[emotion]} about it" if words else "we talk about the day"
            rows.append(
                make_example(
                    f"c-{s:03d}-{n:03d}",
                    f"s-{s:03d}",
                    EMOTIONS[emotion],
                    split,
                    said,
                    duration_ms=ms,
                    video_bytes=int(ms * 60 + rng.integers(0, 90_000)),
                )
            )
            body.append(rng.standard_normal(12) + signal * means[0, emotion] + who * habits[s])
            sound.append(rng.standard_normal(12) + voice * means[1, emotion])
            limbs.append(rng.standard_normal(12) + who * habits[s])
    if shuffled:
        order = rng.permutation(len(rows))
        rows = [replace(row, emotion=rows[k].emotion) for row, k in zip(rows, order, strict=True)]
    parts = {"limb lengths": np.array(limbs), "random encoder": np.maximum(np.array(body) @ rng.standard_normal((12, 40)), 0)}
    summaries = FeatureTables(np.array(body), np.array(sound), parts, tuple(e.transcript for e in rows))
    return Material(tuple(rows), summaries, EMOTIONS, PERMUTATION_ROUNDS, seed)


def put_on_disk(material: Material, folder: Path) -> Material:
    """The same material with video files that differ and cannot be decoded."""
    rows = []
    for e in material.examples:
        (folder / f"{e.clip_id}.mp4").write_text(e.clip_id)
        rows.append(replace(e, video=folder / f"{e.clip_id}.mp4"))
    return replace(material, examples=tuple(rows))
