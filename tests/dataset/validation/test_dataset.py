"""Validate: a sound dataset has no findings, and each way to break one is found, and said in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deemo_data.clip import Clip, SafeClip
from deemo_data.dataset import counts
from deemo_data.dataset.documents import statements
from deemo_data.dataset.validation.dataset import validate_dataset
from deemo_data.errors import DatasetError
from deemo_data.files import File
from tests.makers.datasets import export_clips, make_clip, make_event_label
from tests.makers.films import film_number, first_row, write_film
from tests.makers.labels import said


def filmed(folder: Path, number: int) -> SafeClip:
    clip = make_clip(folder, number)
    write_film(clip.path("video"), number)
    return SafeClip(Clip(clip.id, clip.source, clip.start_ms, clip.end_ms,
                         clip.files | {"video": File.of(clip.path("video"))}, clip.facts))  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sound")
    clips = [filmed(root / "released", n) for n in range(3)]
    labels = [make_event_label(c, 2, 9) for c in clips] + [said("emotion", "happy", c) for c in clips]
    export_clips(clips, labels, root / "dataset")
    return root / "dataset"


@pytest.fixture
def dataset(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "d")
    return tmp_path / "d"


def errors(folder: Path) -> list[str]:
    return [str(f) for f in validate_dataset(folder) if f.level == "error"]


Rows = list[dict[str, Any]]


def change(path: Path, edit: Callable[[Rows], object]) -> None:
    """Rewrite a table's rows, its schema kept."""
    table = pq.read_table(path)
    found = table.to_pylist()
    edit(found)
    pq.write_table(pa.Table.from_pylist(found, schema=table.schema), path)


def nfbl(folder: Path, split: str = "train", **values: Any) -> None:
    """Change the first clip of a split."""
    change(folder / split / "metadata.parquet", lambda r: r[0].update(values))


def mer(folder: Path, split: str = "train", **values: Any) -> None:
    change(folder / split / "clips/metadata.parquet", lambda r: r[0].update(values))


def video(folder: Path, split: str = "train") -> Path:
    return folder / split / first_row(folder, split)["file_name"]


def swap(folder: Path, new: Path, split: str = "train") -> None:
    """Another video for a clip, and its digest in the row, so that only the video tells."""
    shutil.copyfile(new, video(folder, split))
    digest = File.of(new).sha256
    pieces = [p | ({"sha256": digest} if p["name"] == "video" else {}) for p in first_row(folder, split)["provenance"]]
    nfbl(folder, split, provenance=pieces)


def seal(folder: Path) -> None:
    """Digests as they are now: what somebody would do who changed a dataset and wants nobody to see it."""
    path = folder / "deemo.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {n: File.of(folder / n).sha256 for n in manifest["files"] if (folder / n).is_file()}
    path.write_text(json.dumps(manifest))


def reseal(folder: Path) -> None:
    """As `seal`, and counts in every document as they are now."""
    path = folder / "deemo.json"
    manifest = json.loads(path.read_text())
    old, new = manifest["counts"], counts.count_dataset(folder)
    pairs = list(zip(statements.split_table_rows(old), statements.split_table_rows(new), strict=True))
    pairs.append((statements.headline(old), statements.headline(new)))
    pairs += [(sha, File.of(folder / n).sha256) for n, sha in manifest["files"].items() if n.endswith(".parquet")]
    for name in ("README.md", "croissant.json"):
        text = (folder / name).read_text()
        for before, now in pairs:
            text = text.replace(before, now)
        (folder / name).write_text(text)
    path.write_text(json.dumps(manifest | {"counts": new}))
    seal(folder)


def claim(folder: Path, config: str, rows: int) -> None:
    """Let the card's front matter say that the train split of a config has so many rows."""
    path = folder / "README.md"
    head, tail = path.read_text().split(f"- config_name: {config}\n  features", 1)
    tail = tail.replace("num_examples: 1", f"num_examples: {rows}", 1)
    path.write_text(f"{head}- config_name: {config}\n  features{tail}")


def test_ours_is_sound(sound: Path) -> None:
    assert validate_dataset(sound) == []


def test_what_is_sealed_anew_is_sound(dataset: Path) -> None:
    """Or the tests below would see what they seeded themselves."""
    reseal(dataset)
    assert validate_dataset(dataset) == []


# Each seeds one fault and is told one line, with {clip}, {subject} of the first clip in train, {other}, {stranger} in test.


def subject_in_two_splits(folder: Path) -> str:
    who = first_row(folder)["subject_id"]
    nfbl(folder, "test", subject_id=who)
    mer(folder, "test", subject_id=who)
    reseal(folder)
    return "error: subject {subject}: is in the splits test, train"


def event_past_the_end(folder: Path) -> str:
    event = first_row(folder)["events"][0] | {"end_frame": 30, "end_ms": 1001}
    nfbl(folder, events=[event])
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: event Folding arms ends at frame 30, the clip has 20"


def label_outside_the_vocabulary(folder: Path) -> str:
    nfbl(folder, events=[first_row(folder)["events"][0] | {"label": 77}])
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: events.0.label: Value error, label 'number 77' is not in the vocabulary"


def emotion_outside_the_vocabulary(folder: Path) -> str:
    mer(folder, emotion=77)
    reseal(folder)
    return ("error: train/clips/metadata.parquet record {clip}-recognition: emotion: Value error, emotion 'number 77' is not in "
            "the vocabulary")  # fmt: skip


def missing_video(folder: Path) -> str:
    video(folder).unlink()
    return "error: train/clips/{clip}.mp4: is in deemo.json and not there"


def wrong_digest(folder: Path) -> str:
    with open(video(folder), "ab") as f:
        f.write(b"\x00\x00\x00\x08free")
    return "error: train/clips/{clip}.mp4: is not the file that was exported: its digest differs from deemo.json"


def wrong_digest_in_the_row(folder: Path) -> str:
    with open(video(folder), "ab") as f:
        f.write(b"\x00\x00\x00\x08free")
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: its video is not the one whose digest is in provenance"


def face_word_in_a_clue(folder: Path) -> str:
    mer(folder, clues={"video": "The person smiles and folds the arms.", "audio": "", "text": ""})
    reseal(folder)
    return ("warning: train/clips/metadata.parquet record {clip}-recognition: clue video has “smiles” (face): the face is masked "
            "in what is released")  # fmt: skip


def name_in_a_transcript(folder: Path) -> str:
    text = "And then I met Miranda at the court."
    nfbl(folder, transcript=text)
    mer(folder, transcript=text)
    reseal(folder)
    return "warning: train/metadata.parquet clip {clip}: transcript has “Miranda”, which looks like a name"


def address_in_a_transcript(folder: Path) -> str:
    text = "write to me@example.com please"
    nfbl(folder, transcript=text)
    mer(folder, transcript=text)
    reseal(folder)
    return ("error: train/metadata.parquet clip {clip}: transcript holds what looks like an address or a number of somebody, at "
            "letter 10")  # fmt: skip


def another_transcript_in_the_record(folder: Path) -> str:
    mer(folder, transcript="I met [NAME] there.")
    reseal(folder)
    return "error: train/clips/metadata.parquet record {clip}-recognition: has another transcript than its clip"


def record_of_another_subject(folder: Path) -> str:
    other = first_row(folder, "validation")
    change(folder / "train/clips/metadata.parquet", lambda r: r[0].update(subject_id="s-nobody"))
    assert other["subject_id"] != "s-nobody"
    reseal(folder)
    return "error: train/clips/metadata.parquet record {clip}-recognition: is of subject s-nobody, its clip of {subject}"


def record_without_a_clip(folder: Path) -> str:
    mer(folder, clip_id="c-gone")
    reseal(folder)
    return "error: clip c-gone: has records in config mer and no row in config nfbl"


def evidence_of_another_clip(folder: Path) -> str:
    mer(folder, evidence=[{"event": "c-other#0", "start_ms": 67, "end_ms": 300}])
    reseal(folder)
    return "error: train/clips/metadata.parquet record {clip}-recognition: its evidence c-other#0 is of another clip"


def evidence_that_is_no_event(folder: Path) -> str:
    clip = first_row(folder)["clip_id"]
    mer(folder, evidence=[{"event": f"{clip}#1", "start_ms": 67, "end_ms": 300}])
    reseal(folder)
    return ("error: train/clips/metadata.parquet record {clip}-recognition: its evidence {clip}#1 is no event of its clip, "
            "which has 1")  # fmt: skip


def evidence_elsewhere(folder: Path) -> str:
    clip = first_row(folder)["clip_id"]
    mer(folder, evidence=[{"event": f"{clip}#0", "start_ms": 0, "end_ms": 300}])
    reseal(folder)
    return ("error: train/clips/metadata.parquet record {clip}-recognition: its evidence {clip}#0 is said to be at 0-300 ms, the "
            "event is at 67-300 ms")  # fmt: skip


def evidence_outside_the_clip(folder: Path) -> str:
    mer(folder, evidence=[{"event": "", "start_ms": 500, "end_ms": 668}])
    reseal(folder)
    return ("error: train/clips/metadata.parquet record {clip}-recognition: its evidence span ends at 668 ms, its clip at 667 "
            "ms")  # fmt: skip


def reasoning_without_evidence(folder: Path) -> str:
    mer(folder, task=1, evidence=[])
    reseal(folder)
    return "warning: train/clips/metadata.parquet record {clip}-recognition: is reasoning without evidence"


def wrong_duration(folder: Path) -> str:
    nfbl(folder, duration_ms=700)
    reseal(folder)
    return ("error: train/metadata.parquet clip {clip}: duration_ms is 700, 20 frames at 30000/1001 last 667")  # fmt: skip


def another_rate(folder: Path) -> str:
    write_film(folder / "new.mp4", film_number(folder), Fraction(25))
    swap(folder, folder / "new.mp4")
    (folder / "new.mp4").unlink()
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: the row says 30000/1001 frames a second, its video has 25"


def tags_in_the_video(folder: Path) -> str:
    write_film(folder / "new.mp4", film_number(folder), title="Interview with Miranda")
    swap(folder, folder / "new.mp4")
    (folder / "new.mp4").unlink()
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: its video carries tags: title"


def croissant_disagrees(folder: Path) -> str:
    path = folder / "croissant.json"
    document = json.loads(path.read_text())
    next(f for f in document["distribution"] if f["@id"] == "train/metadata.parquet")["sha256"] = "0" * 64
    path.write_text(json.dumps(document))
    seal(folder)
    return "error: croissant.json: has another digest for train/metadata.parquet than the file"


def croissant_of_other_columns(folder: Path) -> str:
    path = folder / "croissant.json"
    path.write_text(path.read_text().replace('"name": "body_unit"', '"name": "body_units"'))
    seal(folder)
    return "error: croissant.json: record set nfbl and its tables differ in the columns body_unit, body_units"


def card_counts_disagree(folder: Path) -> str:
    path = folder / "README.md"
    path.write_text(path.read_text().replace("3 clips of 3 subjects", "30 clips of 3 subjects"))
    seal(folder)
    return ("error: README.md: does not say what the tables hold: 3 clips of 3 subjects, 0.0 minutes, 3 body-language events, 3 "
            "emotion records.")  # fmt: skip


def front_matter_disagrees(folder: Path) -> str:
    claim(folder, "nfbl", 7)
    seal(folder)
    return "error: README.md: its front matter says 7 rows in train of nfbl, there are 1"


def manifest_counts_disagree(folder: Path) -> str:
    path = folder / "deemo.json"
    manifest = json.loads(path.read_text())
    manifest["counts"]["emotions"]["happy"] = 9
    path.write_text(json.dumps(manifest))
    return "error: deemo.json: its counts of emotions are not those of the tables: happy: 9, not 3"


def changelog_disagrees(folder: Path) -> str:
    path = folder / "CHANGELOG.md"
    path.write_text(path.read_text().replace("## 1.0.0", "## 0.9.0"))
    seal(folder)
    return "error: CHANGELOG.md: ends at 0.9.0, deemo.json says version 1.0.0"


def record_twice(folder: Path) -> str:
    change(folder / "train/clips/metadata.parquet", lambda r: r.append(r[0]))
    reseal(folder)
    claim(folder, "mer", 2)
    seal(folder)
    return "error: record {clip}-recognition: has 2 rows"


def clip_twice(folder: Path) -> str:
    change(folder / "train/metadata.parquet", lambda r: r.append(r[0]))
    reseal(folder)
    claim(folder, "nfbl", 2)
    seal(folder)
    return "error: clip {clip}: has 2 rows, in train"


def lookalike_in_another_split(folder: Path) -> str:
    write_film(folder / "new.mp4", film_number(folder), crf=23)
    swap(folder, folder / "new.mp4", "test")
    (folder / "new.mp4").unlink()
    reseal(folder)
    return "error: clips {both}: look the same and are in the splits test, train"


def same_video_in_another_split(folder: Path) -> str:
    swap(folder, video(folder), "test")
    reseal(folder)
    return "error: clips {both}: have the same video in the splits test, train"


def no_consent(folder: Path) -> str:
    nfbl(folder, consent={"statement": "Withdrawn", "asserted": False})
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: no consent is on record for it"


def refused_by_the_leak_check(folder: Path) -> str:
    nfbl(folder, leaks='{"passed": false}')
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: the leak check refused it"


def face_points(folder: Path) -> str:
    nfbl(folder, body_points=75)
    reseal(folder)
    return "error: train/metadata.parquet clip {clip}: body has 75 points × 3, a public one has 64 × 3: face points are in it"


def video_outside(folder: Path) -> str:
    nfbl(folder, file_name="../test/clips/a.mp4")
    reseal(folder)
    return ("error: train/metadata.parquet clip {clip}: its video ../test/clips/a.mp4 lies outside the table's folder: the "
            "loader refuses it")  # fmt: skip


SEEDED = [
    subject_in_two_splits, event_past_the_end, label_outside_the_vocabulary, emotion_outside_the_vocabulary, missing_video,
    wrong_digest, wrong_digest_in_the_row, face_word_in_a_clue, name_in_a_transcript, address_in_a_transcript,
    another_transcript_in_the_record, record_of_another_subject, record_without_a_clip, evidence_of_another_clip,
    evidence_that_is_no_event, evidence_elsewhere, evidence_outside_the_clip, reasoning_without_evidence, wrong_duration,
    another_rate, tags_in_the_video, croissant_disagrees, croissant_of_other_columns, card_counts_disagree,
    front_matter_disagrees, manifest_counts_disagree, changelog_disagrees, record_twice, clip_twice, lookalike_in_another_split,
    same_video_in_another_split, no_consent, refused_by_the_leak_check, face_points, video_outside,
]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDED, ids=lambda f: f.__name__)
def test_a_seeded_fault_is_found_and_nothing_else(dataset: Path, seed: Callable[[Path], str]) -> None:
    here, there = first_row(dataset), first_row(dataset, "test")
    both = ", ".join(sorted((here["clip_id"], there["clip_id"])))
    told = seed(dataset).format(clip=here["clip_id"], subject=here["subject_id"], both=both)
    assert [str(f) for f in validate_dataset(dataset)] == [told]


def test_evidence_that_is_right_is_no_fault(dataset: Path) -> None:
    clip = first_row(dataset)["clip_id"]
    pieces = [{"event": f"{clip}#0", "start_ms": 67, "end_ms": 300}, {"event": "", "start_ms": 0, "end_ms": 667}]
    mer(dataset, task=1, evidence=pieces)
    reseal(dataset)
    assert validate_dataset(dataset) == []


def test_a_table_that_was_changed_is_found_by_its_digest_too(dataset: Path) -> None:
    nfbl(dataset, width=128)
    found = errors(dataset)
    assert any("the row says 128x36" in f for f in found)
    assert any("train/metadata.parquet: is not the file that was exported" in f for f in found)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "frames": ({"num_frames": 21, "body_frames": 21, "duration_ms": 701}, "body is not as long"),
    "fps": ({"fps": 30.0}, "fps_num/fps_den is 30000/1001"),
    "no subject": ({"subject_id": None}, "subject_id"),
    "unlabelled with events": ({"annotation": 0}, "annotation is none, and there are events"),
    "video gone": ({"file_name": "clips/other.mp4"}, "its video clips/other.mp4 is not there"),
}


@pytest.mark.parametrize(("values", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_row_is_found(dataset: Path, values: dict[str, Any], told: str) -> None:
    nfbl(dataset, **values)
    found = errors(dataset)
    assert [f for f in found if told in f], found


def test_more_frames_than_the_video(dataset: Path) -> None:
    row = first_row(dataset)
    nfbl(dataset, num_frames=21, body_frames=21, duration_ms=701, body=row["body"] + [0] * 192,
         body_confidence=row["body_confidence"] + [0] * 64)  # fmt: skip
    assert any("num_frames is 21, its video has 20" in e for e in errors(dataset))


def test_a_broken_record_is_found(dataset: Path) -> None:
    mer(dataset, response="sad")
    assert any("the last turn is not the response" in e for e in errors(dataset))


def test_a_video_that_is_none(dataset: Path) -> None:
    video(dataset).write_bytes(b"not a video")
    assert any("its video cannot be opened" in e for e in errors(dataset))


def test_a_table_that_is_none(dataset: Path) -> None:
    (dataset / "train/metadata.parquet").write_bytes(b"PAR1")
    assert any("train/metadata.parquet: cannot be read as Parquet" in e for e in errors(dataset))


@pytest.mark.parametrize("name", ["deemo.json", "croissant.json", "README.md"])
def test_documents_that_cannot_be_read(dataset: Path, name: str) -> None:
    (dataset / name).write_text("---\n{ [\n---\n")
    assert any(e.startswith(f"error: {name}: ") for e in errors(dataset))


def test_assumed_subjects_and_strange_files_are_worth_a_warning(dataset: Path) -> None:
    nfbl(dataset, subject_assumed=True)
    (dataset / "extra.csv").write_text("a")
    warned = sorted(str(f) for f in validate_dataset(dataset) if f.level == "warning")
    assert warned == ["warning: extra.csv: is not in deemo.json",
                      "warning: subjects: 1 of 3 are assumed, one a source: nobody said who is seen"]  # fmt: skip


def test_someone_elses(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"clip_id": ["a", "b"], "events": [[], []], "mood": ["x", "y"]}), tmp_path / "data/train-0.parquet")
    found = [str(f) for f in validate_dataset(tmp_path)]
    missing = next(f for f in found if "needs the columns" in f)
    assert missing.startswith("error: data/train-0.parquet: config nfbl needs the columns annotation, body, ")
    assert any("does not know: mood" in f for f in found)
    assert any("README.md: there is no card" in f for f in found)


def test_no_dataset_at_all(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no Parquet table"):
        validate_dataset(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        validate_dataset(tmp_path / "gone")


def test_a_video_in_a_code_that_nobody_knows(dataset: Path) -> None:
    path = video(dataset)
    data = path.read_bytes()
    assert data.count(b"avc1") >= 1
    path.unlink()
    path.write_bytes(data.replace(b"avc1", b"zzzz"))
    assert any("in no code that is known here" in line for line in errors(dataset))
