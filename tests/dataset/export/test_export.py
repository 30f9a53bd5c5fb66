"""The dataset folder: what is in it, that it loads, that it stays as it is, and that nothing private is in it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from deemo_data.clip import SafeClip
from deemo_data.dataset.layout import DOCUMENTS
from deemo_data.errors import DatasetError
from deemo_data.files import File
from deemo_data.labels.label import Label
from tests.makers.datasets import EMOTIONS, export_clips, make_clip, make_event_label
from tests.makers.labels import said


def rows(out: Path, config: str = "nfbl") -> dict[str, dict[str, Any]]:
    """Every row of a config by clip id, of mer the choice questions, with class numbers as they are stored."""
    found = [r for p in sorted(out.glob("*/metadata.parquet" if config == "nfbl" else "*/clips/metadata.parquet"))
             for r in pq.read_table(p).to_pylist()]  # fmt: skip
    return {r["clip_id"]: r for r in found if config == "nfbl" or r["record_id"] == f"{r['clip_id']}-recognition"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SafeClip], list[Label]]:
    """Five clips of four subjects, exported once."""
    root = tmp_path_factory.mktemp("made")
    clips = [make_clip(root / "released", n, subject="s-00000003" if n == 4 else "") for n in range(5)]
    labels = [
        said("seen", "nfbl", clips[0]), said("seen", "nfbl", clips[0], "a-2"), said("seen", "nfbl", clips[1]),
        make_event_label(clips[0], 2, 8), make_event_label(clips[0], 3, 9, who="a-2"),
        make_event_label(clips[0], 12, 14, "Head up"),
        said("emotion", "happy", clips[0]), said("emotion", "happy", clips[0], "a-2"), said("emotion_words", ["glad"], clips[0]),
        said("clue_video", "arms folded", clips[0]), said("emotion", "sad", clips[2]), said("emotion", "proud", clips[2], "a-2"),
        said("emotion", "neutral", clips[3]), said("emotion", "anxious", clips[4]),
    ]  # fmt: skip
    export_clips(clips, labels, root / "dataset")
    return root / "dataset", clips, labels


def test_rows_of_body_language(made: tuple[Path, list[SafeClip], list[Label]]) -> None:
    out, clips, _ = made
    found = rows(out)
    assert set(found) == {c.id for c in clips}
    row = found[clips[0].id]
    assert (row["num_frames"], row["fps_num"], row["fps_den"], row["duration_ms"], row["width"]) == (20, 30000, 1001, 667, 64)
    first, second = row["events"]
    assert (first["start_frame"], first["end_frame"], first["start_ms"], first["end_ms"]) == (3, 9, 100, 300)
    assert (first["annotators"], first["agreement"], first["status"]) == (2, 1.0, 3)
    assert (first["label"], first["group"]) == (16, 2)
    assert (second["annotators"], second["agreement"], second["status"]) == (1, 0.5, 2)
    assert row["annotation"] == 3
    assert (found[clips[1].id]["annotation"], found[clips[1].id]["events"]) == (2, []), "one looked and saw nothing"
    assert (found[clips[3].id]["annotation"], found[clips[3].id]["events"]) == (0, []), "nobody looked"
    body = np.array(row["body"], np.float16).reshape([row[f"body_{n}"] for n in ("frames", "people", "points", "dims")])
    assert body.shape == (20, 1, 64, 3)
    assert np.isnan(body[0, 0, 0]).all()
    assert len(row["body_confidence"]) == 20 * 64
    assert np.isnan(row["prosody_f0"][:33]).all()
    assert row["prosody_f0"][33:] == [1.5] * 34, "67 steps of 10 ms, the second half voiced"
    assert (set(row["prosody_energy"]), set(row["prosody_rate"])) == ({-30}, {4})
    assert json.loads(row["leaks"])["passed"] is True


def test_rows_of_emotion(made: tuple[Path, list[SafeClip], list[Label]]) -> None:
    out, clips, labels = made
    found = rows(out, "mer")
    assert set(found) == {clips[0].id, clips[3].id, clips[4].id}
    row = found[clips[0].id]
    assert (row["emotion"], row["sentiment"], row["status"], row["task"]) == (0, 0, 3, 0)
    assert (row["response"], row["emotion_words"], row["clues"]["video"]) == ("happy", ["glad"], "arms folded")
    human, gpt = row["conversations"]
    assert human["from"] == "human"
    assert human["value"] == f"<video>\nThe person says: I met [NAME].\n{row['instruction']}"
    assert gpt == {"from": "gpt", "value": "happy"}
    again = export_clips(clips, labels, out)
    assert again.left_out == (f"clip {clips[2].id}: no majority for one emotion (proud, sad)",)


@pytest.mark.parametrize("streaming", [False, True])
def test_both_configs_load(made: tuple[Path, list[SafeClip], list[Label]], tmp_path: Path, streaming: bool) -> None:
    """In a process of its own: it shall see that torch is not needed."""
    out = made[0]
    code = f"""
import sys, json
from datasets import Video, load_dataset, get_dataset_config_names
found = {{}}
for config in get_dataset_config_names({str(out)!r}):
    splits = load_dataset({str(out)!r}, config, streaming={streaming}, cache_dir={str(tmp_path)!r})
    for name, split in splits.items():
        split = split.cast_column("video", Video(decode=False))
        row = next(iter(split))
        found[config, name] = [len(list(split)), row["clip_id"], row["video"]["path"], len(row.get("body", []))]
        kinds = split.features
        if config == "nfbl":
            event = kinds["events"].feature
            assert event["label"].names[31] == "Illustrative hand gestures" and event["group"].names[0] == "self-manipulation"
            assert str(kinds["body"].feature.dtype) == "float16"
        else:
            assert kinds["emotion"].names[0] == "happy" and kinds["conversations"].feature.keys() == {{"from", "value"}}
assert "torch" not in sys.modules
print(json.dumps([[*k, *v] for k, v in found.items()]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=offline(tmp_path) | {"USE_TORCH": "0"},  # as where it is not installed
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(n for config, _, n, *_ in found if config == "nfbl") == 5
    assert sum(n for config, _, n, *_ in found if config == "mer") == 4, "and one in words of one's own"
    assert {split for config, split, *_ in found if config == "nfbl"} == {"train", "validation", "test"}
    for config, split, _, clip, video, points in found:
        assert Path(video) == out / split / "clips" / f"{clip}.mp4"
        assert Path(video).is_file()
        assert points == (20 * 64 * 3 if config == "nfbl" else 0)


@pytest.mark.parametrize("streaming", [False, True])
def test_with_torch_rows_are_tensors(made: tuple[Path, list[SafeClip], list[Label]], tmp_path: Path, streaming: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the extra [baseline] has it")
    from datasets import Video, load_dataset

    for config, count in (("nfbl", 5), ("mer", 4)):
        splits = load_dataset(str(made[0]), config, streaming=streaming, cache_dir=str(tmp_path))
        seen = [row for s in splits.values() for row in s.cast_column("video", Video(decode=False)).with_format("torch")]
        assert len(seen) == count
        if config == "nfbl":
            assert all(row["body"].dtype == torch.float32 and row["body"].shape == (20 * 64 * 3,) for row in seen)
            assert {int(row["num_frames"]) for row in seen} == {20}
        else:
            assert {int(row["emotion"]) for row in seen} == {EMOTIONS.labels.index(n) for n in ("happy", "neutral", "anxious")}


def test_words_that_the_data_cannot_support_are_told(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 1)
    labels = [
        said("emotion", "happy", clip), said("clue_video", "a broad smile, arms folded", clip),
        said("clue_audio", "the melody rises", clip), said("reasoning", "The old man smiles: happy.", clip),
    ]  # fmt: skip
    told = [w for w in export_clips([clip], labels, tmp_path / "d").warnings if w.startswith(f"clip {clip.id}")]
    assert [w.split(" has ")[0] for w in told] == [f"clip {clip.id}: {n}" for n in ("clue video", "response", "response")]
    assert "smile" in told[0]
    assert "the face is masked" in told[0]


def offline(home: Path) -> dict[str, str]:
    import os

    return dict(os.environ) | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}


@pytest.mark.parametrize("number", [1, 2])
def test_small_ones_load_too(tmp_path: Path, number: int) -> None:
    from datasets import load_dataset

    clips = [make_clip(tmp_path / "released", n) for n in range(number)]
    result = export_clips(clips, [], tmp_path / "d")
    names = ["train", "test"][:number]
    assert list(result.splits) == names
    splits = load_dataset(str(tmp_path / "d"), "nfbl", cache_dir=str(tmp_path / "cache"))
    assert {n: len(s) for n, s in splits.items()} == dict.fromkeys(names, 1)
    assert "no config mer" in result.warnings[-1]
    with pytest.raises(ValueError, match=r"Available: \['nfbl'\]"):
        load_dataset(str(tmp_path / "d"), "mer", cache_dir=str(tmp_path / "cache"))


def state(out: Path) -> dict[str, tuple[int, int, str]]:
    files = [p for p in sorted(out.rglob("*")) if p.is_file()]
    return {
        str(p.relative_to(out)): (p.stat().st_mtime_ns, p.stat().st_ino, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in files
    }


def test_a_second_export_touches_nothing(made: tuple[Path, list[SafeClip], list[Label]]) -> None:
    out, clips, labels = made
    before = state(out)
    assert export_clips(list(reversed(clips)), list(reversed(labels)), out).changed == 0
    assert state(out) == before


def test_two_exports_are_the_same_bytes_and_videos_lie_once(
    made: tuple[Path, list[SafeClip], list[Label]], tmp_path: Path
) -> None:
    out, clips, labels = made
    export_clips(clips, labels, tmp_path / "other")
    assert {n: s[2] for n, s in state(tmp_path / "other").items()} == {n: s[2] for n, s in state(out).items()}
    videos = sorted(p.name for p in out.rglob("*.mp4"))
    assert videos == sorted(f"{c.id}.mp4" for c in clips)


def test_what_is_taken_back_goes_from_the_dataset(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(4)]
    labels = [said("emotion", "happy", clips[3])]
    export_clips(clips, labels, tmp_path / "d")
    (tmp_path / "d/train/clips/.left.mp4.123").write_text("of a killed run")
    (tmp_path / "d/notes.txt").write_text("the user's own")
    result = export_clips(clips[:1], labels, tmp_path / "d")
    assert result.changed
    names = set(state(tmp_path / "d"))
    ours = {*DOCUMENTS, "deemo.json", "train/metadata.parquet", f"train/clips/{clips[0].id}.mp4"}
    assert names == {*ours, "notes.txt"}
    assert "no clip is there any more" in result.left_out[0]


PROPOSED = [
    {"rule": "arms_folded", "start_frame": 2, "end_frame": 6, "score": 0.7, "threshold": 0.5, "why": "..."},
    {"rule": "of another vocabulary", "start_frame": 2, "end_frame": 6, "score": 0.7, "threshold": 0.5, "why": "..."},
]


def test_proposals_stay_unless_allowed(tmp_path: Path) -> None:
    clip = SafeClip(make_clip(tmp_path / "released", 0).with_results({}, {"proposals": PROPOSED}))
    export_clips([clip], [], tmp_path / "d")
    assert rows(tmp_path / "d")[clip.id]["annotation"] == 0
    export_clips([clip], [], tmp_path / "d", allow_proposed=True)
    row = rows(tmp_path / "d")[clip.id]
    assert (row["annotation"], [(e["status"], e["annotators"], e["start_frame"]) for e in row["events"]]) == (1, [(1, 0, 2)])


def test_where_people_looked_the_machine_is_not_asked(tmp_path: Path) -> None:
    clip = SafeClip(make_clip(tmp_path / "released", 0).with_results({}, {"proposals": PROPOSED}))
    export_clips([clip], [said("seen", "nfbl", clip)], tmp_path / "d", allow_proposed=True)
    row = rows(tmp_path / "d")[clip.id]
    assert (row["annotation"], row["events"]) == (2, [])


def adjudicated(clip: SafeClip, *events: Label, who: str = "a-9") -> list[Label]:
    """What an adjudicator hands in."""
    return [said("seen", "adjudicated", clip, who), *(replace(e, value=e.value | {"adjudicated": True}) for e in events)]


def test_an_adjudicator_has_the_last_word(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 0)
    first = [said("seen", "nfbl", clip, "a-1"), said("seen", "nfbl", clip, "a-2"),
             make_event_label(clip, 2, 6, who="a-1"), make_event_label(clip, 3, 6, who="a-2"),
             make_event_label(clip, 12, 16, "Touching jaw", who="a-1")]  # fmt: skip
    last = adjudicated(clip, make_event_label(clip, 2, 7, who="a-9"), make_event_label(clip, 12, 15, "Touching ears", who="a-9"))
    export_clips([clip], first, tmp_path / "d")
    row = rows(tmp_path / "d")[clip.id]
    assert (row["annotation"], [e["status"] for e in row["events"]]) == (3, [3, 2])
    export_clips([clip], first + last, tmp_path / "d")
    row = rows(tmp_path / "d")[clip.id]
    assert row["annotation"] == 4
    events = [(e["start_frame"], e["end_frame"], e["status"], e["annotators"], e["agreement"]) for e in row["events"]]
    assert events == [(2, 7, 4, 3, 1.0), (12, 15, 4, 1, 0.0)]


def test_nobody_adjudicates_what_they_labelled(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 0)
    first = [said("seen", "nfbl", clip, "a-1"), make_event_label(clip, 2, 6, who="a-1")]
    export_clips([clip], first + adjudicated(clip, make_event_label(clip, 9, 12, who="a-1"), who="a-1"), tmp_path / "d")
    row = rows(tmp_path / "d")[clip.id]
    assert (row["annotation"], [(e["start_frame"], e["status"]) for e in row["events"]]) == (2, [(2, 2)])


def test_classes_of_another_vocabulary_are_left_out_and_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 0)
    result = export_clips([clip], [make_event_label(clip, 2, 6, "brow raise"), make_event_label(clip, 7, 9)], tmp_path / "d")
    assert len(rows(tmp_path / "d")[clip.id]["events"]) == 1
    assert result.left_out == (f"nfbl 'brow raise' of {clip.id} is not in vocabulary imigue-32 1",)


def test_face_points_do_not_leave(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 0, points=75)
    with pytest.raises(DatasetError, match=f"clip {clip.id}: .*face points are in it"):
        export_clips([clip], [], tmp_path / "d")


def test_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no clip that may be exported"):
        export_clips([], [], tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_nothing_private_is_in_any_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 0)
    secret = {"uri": "SECRET-uri", "subject_name": "SECRET-name", "known_names": ["SECRET-known"], "stamp": ["SECRET-stamp"]}
    clip = SafeClip(replace(clip, files={**clip.files, "source": File("/SECRET-path.mp4", "5" * 64)}).with_results({}, secret))
    label = replace(said("emotion", "happy", clip, "a-SECRET"), raw={"email": "SECRET@example.com"})
    export_clips([clip], [label, make_event_label(clip, 1, 5, who="a-SECRET")], tmp_path / "d")
    for path in (tmp_path / "d").rglob("*"):
        if path.is_file():
            text = path.read_bytes() if path.suffix != ".parquet" else repr(pq.read_table(path).to_pylist()).encode()
            assert b"SECRET" not in text, path
            assert clip.source.encode() not in text
            assert b"5" * 64 not in text, "the footage's digest"
            assert str(tmp_path).encode() not in text


def test_the_card(made: tuple[Path, list[SafeClip], list[Label]]) -> None:
    text = (made[0] / "README.md").read_text()
    assert "5 clips of 4 subjects" in text
    assert "Article 5(1)(f)" in text
    assert "de-identified, not anonymous" in text
    assert "anonymous" not in text.replace("not anonymous", "")
    assert "\n| train | " in text
    manifest = json.loads((made[0] / "deemo.json").read_text())
    assert manifest["vocabularies"]["nfbl"] == {"name": "imigue-32", "version": "1"}
    assert manifest["files"].keys() == state(made[0]).keys() - {"deemo.json"}
    assert all(state(made[0])[n][2] == digest for n, digest in manifest["files"].items())


MANY = """
import json, resource, sys, threading, time
from pathlib import Path
from tests.makers.datasets import EMOTIONS, NFBL, make_many_clips
from deemo_data.dataset.export.export import export_dataset
from deemo_data.dataset.export.settings import ExportSettings

root, number = Path(sys.argv[1]), int(sys.argv[2])
clips, labels = make_many_clips(root, number)
export_dataset(clips[:300], labels, root / "warm", nfbl=NFBL, emotions=EMOTIONS, settings=ExportSettings(alike=0))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()  # not by the clock: the machine may be busy
made = export_dataset(clips, labels, root / "d", nfbl=NFBL, emotions=EMOTIONS, settings=ExportSettings(alike=0))
took = time.process_time() - began
print(json.dumps([made.clips, made.records, took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_clips(tmp_path: Path) -> None:
    """In a process of its own: minutes, and memory that does not grow with the number of clips but for what names them."""
    from datasets import Video, load_dataset

    done = subprocess.run([sys.executable, "-c", MANY, str(tmp_path), "10000"], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[3])  # fmt: skip
    assert done.returncode == 0, done.stderr
    clips, records, took, grew = json.loads(done.stdout.splitlines()[-1])
    assert (clips, records) == (10_000, 10_000)
    assert took < 180
    assert grew < 250, "MB"
    records_ = load_dataset(str(tmp_path / "d"), "mer", split="train", cache_dir=str(tmp_path / "cache"))
    records_ = records_.cast_column("video", Video(decode=False))
    file = pq.ParquetFile(tmp_path / "d/train/metadata.parquet")
    for open_one in (lambda: records_[3000], lambda: file.read_row_group(100).slice(3, 1)):
        open_one()
        times = []
        for _ in range(5):
            began = time.monotonic()
            open_one()
            times.append(time.monotonic() - began)
        assert min(times) < 0.05
