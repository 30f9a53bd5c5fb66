"""Makes released clips, labels about them and exported datasets: few clips with real little videos, or many quickly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deemo_data.clip import Clip, Grid, SafeClip
from deemo_data.dataset.export.export import ExportResult, export_dataset
from deemo_data.dataset.export.settings import ExportSettings
from deemo_data.files import File
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from deemo_data.tracks.body import Body, write_body
from tests.makers.labels import said

NFBL, EMOTIONS = load_nfbl("nfbl"), load_emotions("emotions")
FRAMES = 20


def make_clip(folder: Path, number: int, subject: str = "", first: int = 30, frames: int = FRAMES, points: int = 64) -> SafeClip:
    """A released clip with a real little video of `frames` frames and a body file."""
    grid = Grid(Fraction(30000, 1001), False, Fraction(0), 1000, 64, 36)
    folder.mkdir(exist_ok=True)
    name = f"c-{number:016x}"
    for old in folder.glob(f"{name}.*"):
        old.unlink()  # an export is hard links: writing into the file would change the dataset
    with av.open(str(folder / f"{name}.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=grid.fps)
        stream.width, stream.height, stream.pix_fmt = grid.width, grid.height, "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for k in range(frames):
            picture = np.full((36, 64, 3), (number * 40 + k) % 256, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    rng = np.random.default_rng(number)
    body = rng.random((frames, 1, points, 3), np.float32)
    body[0, 0, 0] = np.nan
    write_body(Body(body, np.ones((frames, 1, points), np.float32)), folder / f"{name}.body.parquet")
    facts = {
        "grid": grid.to_fact(), "subject": subject or f"s-{number:08x}", "subject_assumed": False, "licence": "CC BY 4.0",
        "consent": {"statement": "test media", "asserted": True}, "leaks": {"passed": True, "frames_looked_at": frames},
        "body_unit": "picture", "transcript": "I met [NAME].",
    }  # fmt: skip
    write_prosody(folder / f"{name}.prosody.parquet", round(100 * frames / grid.fps))
    files = {n: File.of(folder / f"{name}.{ending}") for n, ending in
             (("video", "mp4"), ("body", "body.parquet"), ("prosody", "prosody.parquet"))}  # fmt: skip
    return SafeClip(Clip(name, f"v-{number}", grid.ms_at(first), grid.ms_at(first + frames), files, facts))


def write_prosody(path: Path, steps: int) -> None:
    """Prosody curves of `steps` steps of 10 ms, voiced in their second half."""
    f0 = np.where(np.arange(steps) < steps // 2, np.nan, 1.5).astype(np.float32)
    columns = {"f0_semitones": f0, "energy_db": np.full(steps, -30, np.float32), "voiced": ~np.isnan(f0),
               "speech_rate": np.full(steps, 4, np.float32)}  # fmt: skip
    pq.write_table(pa.table(columns), path)


def make_event_label(
    clip: Clip, start: int, end: int, label: str = "Folding arms", who: str = "a-1", kind: str = "nfbl"
) -> Label:
    """The label of a body-language event, [start, end) in frames of the clip."""
    ms = [clip.grid.ms_at(clip.first_frame + f) for f in (start, end)]
    return Label(clip.id, clip.source, ms[0], ms[1], kind, {"label": label, "certainty": None}, who)


def export_clips(clips: Sequence[SafeClip], labels: Sequence[Label], out: Path, **settings: Any) -> ExportResult:
    """Export with the default vocabularies; `settings` are those of [export]."""
    return export_dataset(clips, labels, out, nfbl=NFBL, emotions=EMOTIONS, settings=ExportSettings(**settings))


def make_many_clips(root: Path, number: int) -> tuple[list[SafeClip], list[Label]]:
    """`number` clips, 20 per source, with events and emotions of two annotators.

    The clips share a few files. Each video has an empty box of its own at its end, so that its bytes are its own.
    """
    kinds = [make_clip(root / "kinds", n, frames=125) for n in range(10)]
    (root / "released").mkdir()
    clips, labels = [], []
    for n in range(number):
        kind = kinds[n % 10]
        video = root / "released" / f"c-{n:016x}.mp4"
        data = kind.path("video").read_bytes() + b"\x00\x00\x00\x10free" + n.to_bytes(8, "big")
        video.write_bytes(data)
        files = kind.files | {"video": File(str(video), hashlib.sha256(data).hexdigest())}
        facts = kind.facts | {"subject": f"s-{n // 40:08x}"}
        grid, first = kind.grid, 150 * (n % 20)
        facts["grid"] = replace(grid, frames=100_000).to_fact()
        clip = SafeClip(Clip(f"c-{n:016x}", f"v-{n // 20}", grid.ms_at(first), grid.ms_at(first + 125), files, facts))
        clips.append(clip)
        for who in ("a-1", "a-2"):
            labels += [said("seen", "nfbl", clip, who), said("emotion", EMOTIONS.labels[n % 12], clip, who)]
            labels += [make_event_label(clip, 7 * k, 7 * k + 20, NFBL.labels[(n + k) % 32], who) for k in range(3)]
    return clips, labels
