"""A synthetic dataset with known cues, written by the real exporter, to test what a model learns and what the checks find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deemo_data.clip import Clip, Grid, SafeClip
from deemo_data.dataset.export.export import export_dataset
from deemo_data.dataset.export.mer import MODALITIES
from deemo_data.dataset.export.settings import ExportSettings
from deemo_data.files import File
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from deemo_data.tracks.body import Body, write_body

EMOTIONS = ("happy", "sad", "angry", "anxious", "proud")
GESTURES = ("Rubbing or holding hands", "Touching jaw", "Folding arms", "Shaking shoulders", "Illustrative hand gestures")
MELODIES = ("rises", "falls", "trembles", "goes up and down slowly", "is loud in the middle")
FPS, WIDTH, HEIGHT = Fraction(25), 64, 48
STEP = 100 / 25  # rows of prosody per frame
SENTENCES = (
    "We had a plan for today and we kept to it.", "I met [NAME] before the match.", "There were many people on the court.",
    "It was a long week, with a lot of travel.", "The second set was longer than the first.", "I have not read the papers yet.",
    "We will look at the video tomorrow.", "My coach and I talked about the serve.", "The weather was as we thought.",
    "I have played here three times.", "The ball was heavy this evening.", "We go to [PLACE] next week.",
)  # fmt: skip
NOTHING = {"video": "The body shows nothing.", "audio": "The voice shows nothing."}

# shoulders, elbows, wrists, then per side little finger, index, thumb; hips, knees, ankles, heels, toes: in shoulder widths
REST = np.array([
    (0.5, 0, 0), (-0.5, 0, 0), (0.6, 0.7, 0), (-0.6, 0.7, 0), (0.45, 1.2, -0.1), (-0.45, 1.2, -0.1),
    (0.35, 1.4, -0.1), (-0.35, 1.4, -0.1), (0.33, 1.4, -0.1), (-0.33, 1.4, -0.1), (0.38, 1.32, -0.1), (-0.38, 1.32, -0.1),
    (0.32, 1.1, 0), (-0.32, 1.1, 0), (0.35, 2.0, 0), (-0.35, 2.0, 0), (0.35, 2.9, 0), (-0.35, 2.9, 0), (0.35, 3.0, 0.1),
    (-0.35, 3.0, 0.1), (0.35, 3.0, -0.3), (-0.35, 3.0, -0.3),
])  # fmt: skip
# The bones whose lengths differ between subjects when a leak by limbs is planted.
BONES = ((0, 2), (1, 3), (2, 4), (3, 5), (12, 14), (13, 15), (14, 16), (15, 17))


@dataclass(frozen=True)
class ClipPlan:
    """The content of a clip: its emotion, where the cue for it is, and what is said."""

    emotion: int
    half: Literal["body", "voice"]
    start: int  # of the gesture or melody, in frames
    end: int
    frames: int
    sentence: str


def write_planted_dataset(
    folder: Path, subjects: int = 72, clips_per_subject: int = 14, seed: int = 0, *, body: bool = True, voice: bool = True,
    leak: Literal["limbs", "posture"] | None = None, shortcut: Literal["length", "u-length"] | None = None, emotions: int = 4,
    validation: float = 8 / 72, test: float = 30 / 72,
) -> Path:  # fmt: skip
    """Write a dataset folder below `folder`. In half of a subject's clips a gesture shows the emotion, in the others a melody.

    subjects     the shares `validation` and `test` of them go to these splits (by default 8 to validation, 30 to test)
    body, voice  False: the clips of that half contain no cue
    leak         "limbs": each subject has limbs of their own length in all clips; "posture": a posture and a pace of their own,
                 as people have
    shortcut     "length": each emotion has clips of another length; "u-length": one emotion has clips of medium length, the
                 others short or long ones
    emotions     how many there are (2 to 5)
    """
    rng = np.random.default_rng(seed)
    released = folder / "released"
    released.mkdir(parents=True)
    clips: list[SafeClip] = []
    labels: list[Label] = []
    for s in range(subjects):
        person = np.random.default_rng((seed, s))
        habits = {
            "posture": person.normal(0, 0.05, REST.shape), "pace": person.uniform(0.9, 1.1), "loud": person.normal(-30, 3),
            "limbs": person.uniform(0.6, 1.4, len(BONES)) if leak == "limbs" else np.ones(len(BONES)),
        }  # fmt: skip
        if leak != "posture":
            habits |= {"posture": np.zeros(REST.shape), "pace": 1.0}
        plans = [(e, h) for e in range(emotions) for h in ("body", "voice")]
        plans = [plans[k] for k in rng.permutation(-(-clips_per_subject // len(plans)) * len(plans)) % len(plans)]
        for n, (emotion, half) in enumerate(plans[:clips_per_subject]):
            plan = _plan(rng, emotion, half, shortcut, emotions)
            clip = _clip(released, f"c-{s:04x}{n:04x}", f"s-{s:08x}", plan, habits, rng, body, voice)
            clips.append(clip)
            labels += _labels(clip, plan, body, voice)
    nfbl, words = load_nfbl("nfbl"), load_emotions("emotions")
    out = folder / "dataset"
    export_dataset(
        clips, labels, out, nfbl=nfbl, emotions=words, settings=ExportSettings(alike=0, validation=validation, test=test)
    )
    return out


def half_of(clip_id: str, folder: Path) -> str:
    """The modality that holds the cue of a clip: "body" or "voice". folder: the dataset that write_planted_dataset returned."""
    return (folder.parent / "released" / f"{clip_id}.half").read_text()


def _plan(rng: np.random.Generator, emotion: int, half: Any, shortcut: str | None, emotions: int) -> ClipPlan:
    frames = int(rng.integers(50, 76))
    if shortcut == "length":
        frames = int(rng.integers(0, 8)) + 50 + 10 * emotion
    elif shortcut == "u-length":
        middle = emotion == 0
        frames = int(rng.integers(60, 66) if middle else rng.choice([rng.integers(48, 56), rng.integers(70, 78)]))
    long = int(rng.integers(22, 33))
    start = int(rng.integers(4, frames - long - 3))
    return ClipPlan(emotion, half, start, start + long, frames, str(rng.choice(SENTENCES)))


def _clip(
    folder: Path, name: str, subject: str, plan: ClipPlan, habits: dict[str, Any], rng: np.random.Generator, body: bool,
    voice: bool,
) -> SafeClip:  # fmt: skip
    grid = Grid(FPS, False, Fraction(0), plan.frames, WIDTH, HEIGHT)
    _write_video(folder / f"{name}.mp4", plan.frames, rng)
    points = gestures(plan, habits, rng, plan.half == "body" and body)
    confidence = np.clip(rng.normal(0.9, 0.05, points.shape[:2]), 0, 1)
    lost = rng.random(points.shape[:2]) < 0.02
    points[lost], confidence[lost] = np.nan, 0
    write_body(Body(points[:, None].astype(np.float32), confidence[:, None].astype(np.float32)), folder / f"{name}.body.parquet")
    pq.write_table(pa.table(melody(plan, habits, rng, plan.half == "voice" and voice)), folder / f"{name}.prosody.parquet")
    (folder / f"{name}.half").write_text(plan.half)
    files = {n: File.of(folder / f"{name}.{ending}") for n, ending in
             (("video", "mp4"), ("body", "body.parquet"), ("prosody", "prosody.parquet"))}  # fmt: skip
    facts = {
        "grid": grid.to_fact(), "subject": subject, "subject_assumed": False, "licence": "CC BY 4.0",
        "consent": {"statement": "a made-up picture", "asserted": False},
        "leaks": {"passed": True, "frames_looked_at": plan.frames}, "body_unit": "shoulders", "transcript": plan.sentence,
    }  # fmt: skip
    return SafeClip(Clip(name, f"v-{name}", 0, grid.ms_at(plan.frames), files, facts))


def gestures(plan: ClipPlan, habits: dict[str, Any], rng: np.random.Generator, shown: bool) -> NDArray[np.float64]:
    """(frames, 64, 3): a person who sways a little and, if `shown`, makes the emotion's gesture between start and end."""
    t = np.arange(plan.frames)
    points = np.tile(REST + habits["posture"], (plan.frames, 1, 1))
    for (a, b), factor in zip(BONES, habits["limbs"], strict=True):
        points[:, _below(b)] += (points[:, [b]] - points[:, [a]]) * (factor - 1)
    points[:, :12] += 0.03 * np.sin(2 * np.pi * t / rng.uniform(40, 70) + rng.uniform(0, 6))[:, None, None] * [1, 0.3, 0]
    on = ((t >= plan.start) & (t < plan.end)) * np.clip(np.minimum(t - plan.start + 1, plan.end - t) / 5, 0, 1) * shown
    beat = np.sin(2 * np.pi * (t - plan.start) / (7 * habits["pace"]))
    arms, forearms = [4, 5, 6, 7, 8, 9, 10, 11], [2, 3]
    side = np.where(np.arange(12) % 2 == 0, 1.0, -1.0)
    if plan.emotion == 0:  # hands meet and rub
        points[:, arms, 0] -= on[:, None] * side[arms] * 0.38
        points[:, arms, 1] += (on * 0.06 * beat)[:, None] * side[arms]
    elif plan.emotion == 1:  # one hand at the chin
        hand = [4, 6, 8, 10]
        points[:, hand, 1] -= on[:, None] * 1.3
        points[:, hand, 0] -= on[:, None] * 0.35
        points[:, 2, 1] -= on * 0.1
    elif plan.emotion == 2:  # arms folded
        points[:, arms, 0] -= on[:, None] * side[arms] * 0.75
        points[:, arms, 1] -= on[:, None] * 0.65
        points[:, forearms, 2] -= on[:, None] * 0.2
    elif plan.emotion == 3:  # shoulders shake
        points[:, :2, 1] -= (on * 0.12 * (1 + beat))[:, None]
        points[:, 2:4, 1] -= (on * 0.06 * (1 + beat))[:, None]
    else:  # both hands beat to the talk
        points[:, arms, 1] -= on[:, None] * (0.5 + 0.25 * beat)[:, None]
        points[:, arms, 0] += on[:, None] * side[arms] * 0.25
    hands = [points[:, [4 + side]] + _fan(side) for side in (0, 1)]
    points = np.concatenate([points, *hands], axis=1)
    return np.asarray(points + rng.normal(0, 0.012, points.shape))


def _below(point: int) -> list[int]:
    """A point of REST and the points that move with it."""
    chains = {2: [2, 4, 6, 8, 10], 4: [4, 6, 8, 10], 14: [14, 16, 18, 20], 16: [16, 18, 20]}
    side = point % 2
    return [p + side for p in chains[point - side]]


def _fan(side: int) -> NDArray[np.float64]:
    """(21, 3): a wrist, and five fingers of four points below it."""
    sign = 1 - 2 * side
    fingers = [(sign * 0.05 * (f - 2), 0.1 + 0.06 * j, 0) for f in range(5) for j in range(4)]
    return np.array([(0, 0, 0), *fingers])


def melody(plan: ClipPlan, habits: dict[str, Any], rng: np.random.Generator, heard: bool) -> dict[str, Any]:
    """The curves of a voice that pauses and drifts and, if `heard`, has the emotion's melody between start and end."""
    steps = round(plan.frames * STEP)
    t = np.arange(steps)
    start, end = round(plan.start * STEP), round(plan.end * STEP)
    tones = 0.6 * np.sin(2 * np.pi * t / rng.uniform(60, 140) + rng.uniform(0, 6)) + rng.normal(0, 0.15, steps)
    loud = habits["loud"] + 2 * np.sin(2 * np.pi * t / rng.uniform(50, 90) + rng.uniform(0, 6)) + rng.normal(0, 1, steps)
    rate = np.full(steps, 4.0) + rng.normal(0, 0.2, steps)
    place = np.clip((t - start) / (end - start), 0, 1)
    on = (t >= start) & (t < end)
    if heard and plan.emotion == 0:
        tones += 5 * place
    elif heard and plan.emotion == 1:
        tones -= 5 * place
    elif heard and plan.emotion == 2:
        tones += on * 2.5 * np.sign(np.sin(2 * np.pi * (t - start) / 16))
    elif heard and plan.emotion == 3:
        tones += on * 4 * np.sin(np.pi * place)
        tones -= on * 4 * np.sin(2 * np.pi * place) * (place > 0.5)
    elif heard:
        loud += on * 12 * np.sin(np.pi * place)
    voiced = np.ones(steps, bool)
    for at in rng.integers(0, steps, 3):
        voiced[at : at + int(rng.integers(8, 20))] = False
    return {
        "f0_semitones": np.where(voiced, tones - np.median(tones[voiced]), np.nan).astype(np.float32),
        "energy_db": np.where(voiced, loud, loud - 15).astype(np.float32),
        "voiced": voiced,
        "speech_rate": rate.astype(np.float32),
    }


def _write_video(path: Path, frames: int, rng: np.random.Generator) -> None:
    """Moving coloured waves: a picture without any cue."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = rng.uniform(0.05, 0.3, (3, 2)), rng.uniform(0, 6, 3), rng.uniform(-0.2, 0.2, 3)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "28"}
        stream.codec_context.thread_count = 1
        for k in range(frames):
            planes = [np.sin(a * x + b * y + c + d * k) for (a, b), c, d in zip(*waves, strict=True)]
            picture = (127 + 100 * np.stack(planes, axis=-1)).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def _labels(clip: SafeClip, plan: ClipPlan, body: bool, voice: bool) -> Sequence[Label]:
    """The labels of two annotators, who agree."""
    grid, emotion = clip.grid, EMOTIONS[plan.emotion]
    has_gesture, has_melody = plan.half == "body" and body, plan.half == "voice" and voice
    span = grid.ms_at(plan.start), grid.ms_at(plan.end)
    clues = {
        "video": f"{GESTURES[plan.emotion]} is seen." if has_gesture else NOTHING["video"],
        "audio": f"The voice {MELODIES[plan.emotion]}." if has_melody else NOTHING["audio"],
        "text": "The words show nothing.",
    }
    reasoning = " ".join(clues[m] for m in MODALITIES) + f" So the person is {emotion}."
    labels = []
    for who in ("a-1", "a-2"):

        def label(kind: str, value: Any, start: int = clip.start_ms, end: int = clip.end_ms, who: str = who) -> Label:
            return Label(clip.id, clip.source, start, end, kind, value, who)

        labels += [label("seen", "nfbl"), label("emotion", emotion), label("reasoning", reasoning)]
        labels += [label(f"clue_{m}", clues[m]) for m in MODALITIES]
        if has_gesture:
            labels.append(label("nfbl", {"label": GESTURES[plan.emotion], "certainty": None}, *span))
    return labels
