"""Makes the row of a released clip in config nfbl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deemo_data.clip import Clip, frame_to_ms
from deemo_data.dataset.records import NfblRecord, first_error
from deemo_data.errors import DatasetError
from deemo_data.labels.consensus import events_of_clip
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import Nfbl

if TYPE_CHECKING:
    import pyarrow as pa


def make_nfbl_record(
    clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, video: str, allow_proposed: bool = False
) -> NfblRecord:
    """The row of a released clip. Events whose class is not in `vocabulary` are left out.

    video  path of the video, relative to the table
    Raises DatasetError, which names the clip, when the row would break a rule of records.py.
    """
    level, events = events_of_clip(clip, labels, vocabulary, allow_proposed)
    grid, facts = clip.grid, clip.facts
    points, confidence, shape = _body(clip)
    row = {
        "clip_id": clip.id,
        "subject_id": facts["subject"],
        "subject_assumed": bool(facts.get("subject_assumed")),
        "video": video,
        "fps": float(grid.fps),
        "fps_num": grid.fps.numerator,
        "fps_den": grid.fps.denominator,
        "num_frames": clip.num_frames,
        "duration_ms": frame_to_ms(clip.num_frames, grid.fps),
        "width": grid.width,
        "height": grid.height,
        "annotation": level,
        "events": events,
        "body": points,
        "body_confidence": confidence,
        **dict(zip(("body_frames", "body_people", "body_points", "body_dims"), shape, strict=True)),
        "body_unit": facts.get("body_unit"),
        **_prosody(clip),
        "transcript": facts.get("transcript") or "",
        "consent": facts["consent"],
        "licence": facts.get("licence"),
        "leaks": json.dumps(facts.get("leaks") or {}, sort_keys=True),
        "provenance": [{"name": n, "sha256": s} for n, s in sorted(_digests(clip).items())],
        "vocabulary": vocabulary.versioned_name,
    }
    try:
        return NfblRecord.model_validate(row, context={"label": vocabulary.labels, "group": list(vocabulary.groups)})
    except ValidationError as e:
        raise DatasetError(
            f"clip {clip.id}: {first_error(e)}", "This is a fault of deemo, or the store was changed by hand"
        ) from e


def _digests(clip: Clip) -> dict[str, str]:
    """Digests of the files that a row was made from. Never that of the footage: whoever has the footage could look it up."""
    return (clip.facts.get("provenance") or {}) | {name: clip.files[name].sha256 for name in ("video", "body", "prosody")}


def _body(clip: Clip) -> tuple[pa.Array, pa.Array, list[int]]:
    """(points, confidence, shape) of the clip's body file; points and confidence are flat float16 arrays."""
    table = _read(clip, "body")
    return table["points"].combine_chunks().flatten(), table["confidence"].combine_chunks().flatten(), table["shape"][0].as_py()


def _prosody(clip: Clip) -> dict[str, pa.Array]:
    """The curves of the clip's prosody file as float16 arrays."""
    import pyarrow as pa

    table = _read(clip, "prosody")
    curves = {"prosody_f0": "f0_semitones", "prosody_energy": "energy_db", "prosody_rate": "speech_rate"}
    return {name: table[column].combine_chunks().cast(pa.float32()).cast(pa.float16()) for name, column in curves.items()}


def _read(clip: Clip, name: str) -> pa.Table:
    """A small table. pq.read_table would start threads and look for a folder of tables, which costs more than the reading."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(clip.files[name].path) as file:
        return file.read(use_threads=False)
