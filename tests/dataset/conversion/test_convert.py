"""Other projects' record formats: what goes in comes back, and what would go wrong there is named."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deemo_data.dataset import tables
from deemo_data.dataset.conversion.convert import convert_dataset
from deemo_data.dataset.conversion.formats import (
    FORMATS,
    LOST_COLUMNS,
    WORD_JOINER,
    Record,
    escape_cell,
    escape_tags,
    find_obstacle,
    strip_lost_fields,
    unescape_cell,
    unescape_tags,
)
from deemo_data.dataset.conversion.reading import check_converted, read_converted
from deemo_data.dataset.records import MerRecord
from deemo_data.errors import DatasetError
from deemo_data.files import File
from tests.makers.datasets import EMOTIONS, export_clips, make_clip, make_event_label
from tests.makers.labels import said

Row = dict[str, Any]
FORMAT = pytest.mark.parametrize("to", FORMATS)
TURNS = pytest.mark.parametrize("to", ["llava", "llama-factory", "ms-swift"])


def row(
    clip: str, task: str = "recognition", transcript: str = "I met [NAME].", response: str = "", **more: Any
) -> dict[str, Any]:
    """A row of config mer."""
    asked = "Which emotion?" if task == "recognition" else "Why?"
    response = response or ("happy" if task == "recognition" else "The arms are folded. The emotion is happy.")
    return {
        "record_id": f"{clip}-{task}", "clip_id": clip, "subject_id": "s-1", "file_name": f"{clip}.mp4", "transcript": transcript,
        "task": task, "instruction": asked, "response": response, "emotion": "happy", "sentiment": "positive",
        "emotion_words": [], "clues": {"video": "arms folded", "audio": "", "text": ""},
        "conversations": [{"from": "human", "value": f"<video>\nThe person says: {transcript}\n{asked}"},
                          {"from": "gpt", "value": response}],
        "evidence": [], "status": "single", "vocabulary": EMOTIONS.versioned_name,
    } | more  # fmt: skip


def put(dataset: Path, split: str, rows: Iterable[dict[str, Any]]) -> None:
    """Make these rows the table of a split's records."""
    table = tables.to_arrow(list(rows), tables.mer_features(EMOTIONS))
    pq.write_table(table, dataset / split / "clips/metadata.parquet")


def records(dataset: Path) -> dict[str, Record]:
    """What is in the tables, read by other means than convert() uses."""
    found = {}
    for path in sorted(dataset.glob("*/clips/metadata.parquet")):
        for r in pq.read_table(path).to_pylist():
            r |= {"task": ["recognition", "reasoning"][r["task"]], "emotion": EMOTIONS.labels[r["emotion"]]}
            found[r["record_id"]] = Record.of_row(r, path.parts[-3], path.parent)
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of six clips of six subjects, each with an emotion, as deemo_data.export writes it."""
    root = tmp_path_factory.mktemp("exported")
    clips = [make_clip(root / "released", n) for n in range(6)]
    labels = [said("emotion", "happy" if n % 2 else "proud", c) for n, c in enumerate(clips)]
    labels += [said("clue_video", "arms folded", clips[0]), said("seen", "nfbl", clips[0]), make_event_label(clips[0], 2, 8)]
    export_clips(clips, labels, root / "dataset")
    return root / "dataset"


@pytest.fixture(scope="module")
def reasoned(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a record of reasoning for each clip; its table is no longer the one that was exported."""
    dataset = tmp_path_factory.mktemp("reasoned") / "dataset"
    shutil.copytree(exported, dataset)
    for split in ("train", "validation", "test"):
        clips = [p.stem for p in sorted((dataset / split / "clips").glob("*.mp4"))]
        put(dataset, split, [row(c, task) for c in clips for task in ("recognition", "reasoning")])
    return dataset


def state(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file()}  # fmt: skip


def same(dataset: Path, out: Path, to: str) -> None:
    """All that the format can hold comes back: same ids, same text, same videos."""
    wanted = {i: r for i, r in records(dataset).items() if not find_obstacle(r, to)}
    back = {r.record_id: r for r in read_converted(out, to)}
    assert back.keys() == wanted.keys()
    for record_id, record in wanted.items():
        assert back[record_id] == strip_lost_fields(record, to)
        assert File.of(back[record_id].video).sha256 == File.of(record.video).sha256


@FORMAT
@pytest.mark.parametrize("link", [True, False])
def test_records_come_back(reasoned: Path, tmp_path: Path, to: str, link: bool) -> None:
    if to == "emer" and not link:
        pytest.skip("EMER's reader wants names that the dataset's files do not have")
    done = convert_dataset(reasoned, to, tmp_path / "out", link=link, force=True)
    same(reasoned, tmp_path / "out", to)
    assert done.faults == ()
    assert done.records == (6 if to == "emer" else 12)
    assert set(done.splits) == {"train", "validation", "test"}
    assert sum(done.left_out.values()) == 12 - done.records
    linked = list((tmp_path / "out").rglob("*.mp4")) + list((tmp_path / "out").rglob("*.avi"))
    assert len(linked) == (6 if link else 0), "each video once"
    assert all(p.stat().st_nlink > 1 for p in linked), "and not twice on the disk"


@FORMAT
def test_a_second_run_touches_nothing_and_the_bytes_are_the_same(reasoned: Path, tmp_path: Path, to: str) -> None:
    convert_dataset(reasoned, to, tmp_path / "a", force=True)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "a").rglob("*")}
    assert convert_dataset(reasoned, to, tmp_path / "a", force=True).changed == 0
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "a").rglob("*")} == before
    convert_dataset(reasoned, to, tmp_path / "b", force=True)
    assert state(tmp_path / "a") == state(tmp_path / "b")
    assert str(tmp_path).encode() not in b"".join(p.read_bytes() for p in (tmp_path / "a").iterdir() if p.is_file())


def test_an_exported_dataset_needs_no_force(exported: Path, tmp_path: Path) -> None:
    for to in set(FORMATS) - {"emer"}:
        done = convert_dataset(exported, to, tmp_path / to)
        assert (done.records, done.faults) == (6, ())
        same(exported, tmp_path / to, to)
    assert any("proud" in note for note in convert_dataset(exported, "merr", tmp_path / "merr").notes)


def test_what_people_wrote_is_converted(tmp_path: Path) -> None:
    """From labels to every format, without force: recognition, words of one's own, and reasoning."""
    clips = [make_clip(tmp_path / "released", n) for n in range(3)]
    labels = [said("emotion", "sad", c) for c in clips] + [said("emotion_words", ["low", "tired"], clips[0])]
    labels += [said("reasoning", f"The head hangs, so {n} is sad.", c) for n, c in enumerate(clips[:2])]
    export_clips(clips, labels, tmp_path / "dataset")
    assert {i.rpartition("-")[2] for i in records(tmp_path / "dataset")} == {"recognition", "open", "reasoning"}
    for to, count in (("llava", 6), ("llama-factory", 6), ("ms-swift", 6), ("merr", 5), ("emer", 2)):
        done = convert_dataset(tmp_path / "dataset", to, tmp_path / to)
        assert (done.records, done.faults) == (count, ())
        same(tmp_path / "dataset", tmp_path / to, to)


ODD = [
    '"', ",", "\n", "\r\n", "\r", '"a","b"\n', "<video>", f"<{WORD_JOINER}video>", "<image> and <audio>",
    "<VideoHere>", WORD_JOINER, "🙂",
    "שלום, מה שלומך?", "مرحبا", "None", "NA", "nan", "null", "42", "1e5", "true", "", " ", "\t", "\\", "\\n", "'", "{}",
    "\u2028", "\x85", "\x00", "\ufeff", "a\u0301", "#", "###", "[NAME]",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=4).map("".join)


@settings(max_examples=8)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=8))
@example([("None", "42", "")])
@example([("", "NA", "null")])
@example([(ODD[n], ODD[n - 1], ODD[n - 2]) for n in range(len(ODD))])
def test_odd_text_comes_back(exported: Path, texts: list[tuple[str, str, str]]) -> None:
    source = next(iter(sorted(exported.glob("train/clips/*.mp4"))))
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder, "dataset")
        (dataset / "train/clips").mkdir(parents=True)
        rows = []
        for n, (transcript, response, clue) in enumerate(texts):
            (dataset / f"train/clips/c-{n}.mp4").hardlink_to(source)
            clues = {"video": clue, "audio": "", "text": transcript}
            rows += [row(f"c-{n}", "reasoning", transcript, response or "so"), row(f"c-{n}", transcript=transcript, clues=clues)]
        put(dataset, "train", rows)
        for to in FORMATS:
            out = Path(folder, to)
            faults = convert_dataset(dataset, to, out, force=True).faults
            same(dataset, out, to)
            blank = any(not (r or "so").strip() for _, r, _ in texts) or any(not f"{c}{t}".strip() for t, _, c in texts)
            assert not faults or blank


@given(TEXT)
def test_what_is_hidden_is_shown_again(text: str) -> None:
    assert unescape_tags(escape_tags(text)) == text
    assert not any(tag in escape_tags(text) for tag in ("<video>", "<image>", "<audio>", "<VideoHere>"))
    assert unescape_cell(escape_cell(text)) == text
    assert escape_tags("a < b > c <b>video</b>") == "a < b > c <b>video</b>"


@TURNS
def test_what_is_said_about_videos_is_no_video(reasoned: Path, tmp_path: Path, to: str) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(reasoned, dataset)
    clip = next((dataset / "train/clips").glob("*.mp4")).stem
    put(dataset, "train", [row(clip, transcript="In the <video> you saw")])
    assert convert_dataset(dataset, to, tmp_path / "out", force=True).faults == ()
    for path in (tmp_path / "out").glob("train.json*"):
        assert path.read_text().count("<video>") == 1
    put(dataset, "train", [row(clip, conversations=[{"from": "human", "value": "Which?"}, {"from": "gpt", "value": "happy"}])])
    with pytest.raises(DatasetError, match="does not begin with <video>"):
        convert_dataset(dataset, to, tmp_path / "out", force=True)
    assert not list((tmp_path / "out").glob(".*")), "nothing half written is left"


def test_files_of_llava(reasoned: Path, tmp_path: Path) -> None:
    convert_dataset(reasoned, "llava", tmp_path, force=True)
    rows = json.loads((tmp_path / "train.json").read_text("ascii"))
    assert all(list(r) == ["id", "video", "conversations"] for r in rows)
    assert rows[0]["video"] == f"videos/{rows[0]['id'].removesuffix('-recognition')}.mp4"
    assert [t["from"] for t in rows[0]["conversations"]] == ["human", "gpt"]


def test_files_of_llama_factory(reasoned: Path, tmp_path: Path) -> None:
    """Read as its loader does: by datasets, with the columns and tags that dataset_info.json names."""
    from datasets import load_dataset

    convert_dataset(reasoned, "llama-factory", tmp_path / "out", force=True)
    info = json.loads((tmp_path / "out/dataset_info.json").read_text("ascii"))
    assert list(info) == ["deemo_test", "deemo_train", "deemo_validation"]
    for told in info.values():
        assert told["formatting"] == "sharegpt"
        path = str(tmp_path / "out" / told["file_name"])
        loaded = load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
        for r in loaded:
            turns, videos = r[told["columns"]["messages"]], r[told["columns"]["videos"]]
            assert [t[told["tags"]["role_tag"]] for t in turns] == ["human", "gpt"]
            assert sum(t[told["tags"]["content_tag"]].count("<video>") for t in turns) == len(videos) == 1
            assert (tmp_path / "out" / videos[0]).is_file()


def test_files_of_ms_swift(reasoned: Path, tmp_path: Path) -> None:
    convert_dataset(reasoned, "ms-swift", tmp_path, force=True)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text("ascii").splitlines()]
    assert all(list(r) == ["id", "messages", "videos"] for r in rows)
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"]


def test_files_of_merr(exported: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(exported, dataset)
    path = next(
        p for p in dataset.glob("*/clips/metadata.parquet") if "c-0000000000000000" in pq.read_table(p)["clip_id"].to_pylist()
    )
    split = path.parts[-3]
    put(dataset, split, [row("c-0000000000000000"), row("c-0000000000000000", "reasoning", transcript="")])
    done = convert_dataset(dataset, "merr", tmp_path / "out", force=True)
    out, name, second = tmp_path / "out", "c-0000000000000000", "c-0000000000000000-reasoning"
    assert (out / f"{split}_coarse_grained.txt").read_text() == f"{name} 20 happy\n", "name, frames, emotion"
    assert (out / f"{split}_fine_grained.txt").read_text() == f"{second} 20 happy\n", "another transcript needs another name"
    coarse = json.loads((out / f"{split}_coarse_grained.json").read_text())[name]
    assert (coarse["caption"], coarse["nfbl"]) == ("arms folded", [["Folding arms", 67, 267]])
    assert json.loads((out / f"{split}_fine_grained.json").read_text())[second]["smp_reason_caption"].endswith("happy.")
    with open(out / "transcription_en_all.csv", newline="") as f:
        said = {r["name"]: r["sentence"] for r in csv.DictReader(f)}
    assert (said[name], said[second]) == ("I met [NAME].", WORD_JOINER), "pandas would make nan of nothing"
    stage = yaml.safe_load((out / "stage2.yaml").read_text())["datasets"]["feature_face_caption"]
    assert stage["task_pool"] == ["reason_v2"]
    assert stage["labels"] == EMOTIONS.labels
    assert stage["build_info"]["image_path"] == "videos"
    assert (done.faults, done.records) == ((), 7)


def test_a_clip_may_have_several_records(reasoned: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(reasoned, dataset)
    clip = next((dataset / "train/clips").glob("*.mp4")).stem
    more = [row(clip, "reasoning"), row(clip, "reasoning", record_id="r-2", response="Other words."), row(clip),
            row(clip, record_id="r-3"), row(clip, record_id="r-4", response="glad, happy")]  # fmt: skip
    put(dataset, "train", more)
    for to, train in (("llava", 5), ("merr", 4), ("emer", 2)):
        done = convert_dataset(dataset, to, tmp_path / to, force=True)
        assert (done.splits["train"], done.faults) == (train, ())
        same(dataset, tmp_path / to, to)
    assert [
        n
        for w, n in convert_dataset(dataset, "merr", tmp_path / "merr", force=True).left_out.items()
        if "the emotion's name" in w
    ] == [1]
    done = convert_dataset(dataset, "merr", tmp_path / "unlinked", link=False, force=True)
    assert (done.splits["train"], done.faults) == (2, ())
    assert "link the videos" in "".join(done.left_out)


def test_no_reasoning_no_emer(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"EMER holds reasoning only \(6 records\)"):
        convert_dataset(exported, "emer", tmp_path / "out")
    with pytest.raises(DatasetError, match=r"asks for NAME\.avi"):
        convert_dataset(exported, "emer", tmp_path / "out", link=False)
    with pytest.raises(DatasetError, match=r"there is no format 'x'"):
        convert_dataset(exported, "x", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_not_sound_is_not_converted(exported: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(exported, dataset)
    gone = next((dataset / "train/clips").glob("*.mp4"))
    gone.unlink()
    with pytest.raises(DatasetError, match=rf"not sound: .*{gone.stem}.*--force"):
        convert_dataset(dataset, "llava", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = convert_dataset(dataset, "llava", tmp_path / "out", force=True)
    assert len(done.faults) == 1
    assert f"record {gone.stem}-recognition: its video {gone.name} is not there" in done.faults[0]


def test_a_record_does_not_reach_out_of_the_dataset(exported: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(exported, dataset)
    (tmp_path / "secret.mp4").write_text("private")
    put(dataset, "train", [row("c-1", file_name="../../../secret.mp4")])
    with pytest.raises(DatasetError, match="lies outside the dataset"):
        convert_dataset(dataset, "llava", tmp_path / "out", force=True)
    put(dataset, "train", [row("../c-1", file_name=next((dataset / "train/clips").glob("*.mp4")).name)])
    with pytest.raises(DatasetError, match="cannot be the name of a file"):
        convert_dataset(dataset, "llava", tmp_path / "out", force=True)


def test_it_writes_over_nothing_but_its_own(reasoned: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match="holds something else"):
        convert_dataset(reasoned, "llava", tmp_path / "mine", force=True)
    convert_dataset(reasoned, "llava", tmp_path / "out", force=True)
    with pytest.raises(DatasetError, match="holds records as llava"):
        convert_dataset(reasoned, "merr", tmp_path / "out", force=True)
    for inside in (reasoned / "llava", reasoned.parent):
        with pytest.raises(DatasetError, match="lie in each other"):
            convert_dataset(reasoned, "llava", inside, force=True)


@pytest.mark.parametrize("to", ["llava", "merr"])
def test_a_run_that_was_cut_short_is_run_again(reasoned: Path, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    monkeypatch.setattr(
        "deemo_data.dataset.conversion.convert.write_if_changed",
        lambda p, t: killed() if p.name == "README.md" else p.write_text(t),
    )
    with pytest.raises(KeyboardInterrupt):
        convert_dataset(reasoned, to, out, force=True)
    monkeypatch.undo()
    (out / ".train.json.123").write_text("left by a killed run")
    assert convert_dataset(reasoned, to, out, force=True).faults == ()
    convert_dataset(reasoned, to, tmp_path / "other", force=True)
    assert state(out) == state(tmp_path / "other")
    convert_dataset(reasoned, to, out, link=False, force=True)
    assert check_converted(out, to) == []
    assert not (out / "videos").exists(), "no longer linked"


@FORMAT
def test_what_is_withdrawn_goes(reasoned: Path, tmp_path: Path, to: str) -> None:
    dataset, out = tmp_path / "dataset", tmp_path / "out"
    shutil.copytree(reasoned, dataset)
    convert_dataset(dataset, to, out, force=True)
    gone = next((dataset / "test/clips").glob("*.mp4")).stem
    shutil.rmtree(dataset / "test")
    convert_dataset(dataset, to, out, force=True)
    assert check_converted(out, to) == []
    assert not any(gone in name for name in state(out))
    assert not any(gone.encode() in p.read_bytes() for p in out.iterdir() if p.is_file())


def test_the_terms_go_along(reasoned: Path, tmp_path: Path) -> None:
    for to, format in FORMATS.items():
        convert_dataset(reasoned, to, tmp_path / to, force=True)
        text = (tmp_path / to / "README.md").read_text()
        assert "Article 5(1)(f)" in text
        assert "de-identified, not anonymous" in text
        assert "test media" in text, "the statement of consent"
        assert "CC BY 4.0" in text
        assert format.use in text
        assert all(f"| `{column}` | {why} |" in text for column, why in LOST_COLUMNS[to].items())


def test_only_columns_of_the_dataset_are_lost() -> None:
    assert set(LOST_COLUMNS) == set(FORMATS)
    assert all(set(lost) < set(MerRecord.model_fields) for lost in LOST_COLUMNS.values())


def change(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


FAULTS = [  # format, file, what is there, what is put in its place, what check() says
    ("llava", "train.json", "videos/", "videos/x", "its video xc-"),
    ("llava", "train.json", "<video>", "", "0 <video> in its turns, for 1"),
    ("llava", "train.json", "Which", "<video> Which", "2 <video> in its turns"),
    ("llava", "train.json", "Which", "<image> Which", "1 <image> in its turns, for 0"),
    ("llava", "train.json", '"value": "happy"', '"value": " "', "the gpt's turn 1 is empty"),
    ("llava", "train.json", '"from": "gpt"', '"from": "human"', "do not go human, gpt"),
    ("llava", "train.json", '"from": "gpt"', '"from": "assistant"', "not a list of from and value"),
    ("llava", "train.json", "[\n", "", "train.json cannot be read"),
    ("llava", "train.json", '"video"', '"image"', "has no video"),
    ("llama-factory", "dataset_info.json", "train.jsonl", "gone.jsonl", "gone.jsonl cannot be read"),
    ("llama-factory", "dataset_info.json", '"videos": "videos"', '"videos": "clips"', "for 0 of them"),
    ("llama-factory", "dataset_info.json", '"formatting": "sharegpt"', '"formatting": "alpaca"', "not said to be sharegpt"),
    ("llama-factory", "dataset_info.json", '"user_tag": "human"', '"user_tag": "user"', "not a list of from and value"),
    ("llama-factory", "train.jsonl", "videos/", "clips/", "is not there"),
    ("ms-swift", "train.jsonl", '"user"', '"humanoid"', "not a list of role and content"),
    ("ms-swift", "train.jsonl", '"content": "happy"', '"content": null', "a turn is not text"),
    ("ms-swift", "train.jsonl", "videos/", "clips/", "is not there"),
    ("merr", "train_coarse_grained.txt", " happy", " merry", "'merry' is not among the labels"),
    ("merr", "train_coarse_grained.txt", " happy", "", "is not name, frames and emotion"),
    ("merr", "train_coarse_grained.txt", "c-", "d-", "has no row in transcription_en_all.csv"),
    ("merr", "train_fine_grained.json", "smp_reason_caption", "caption", "has no smp_reason_caption"),
    ("merr", "stage1.yaml", "labels", "names", "stage1.yaml names no labels"),
    ("merr", "transcription_en_all.csv", "sentence", "sentences", "has no column sentence"),
    ("emer", "train.csv", "reasons", "reason", "has no column reasons"),
    ("emer", "train.csv", '"The arms are folded. The emotion is happy."', '"None"', "has no reasons"),
    ("emer", "train.csv", '"c-', '"d-', "is not in records.csv"),
    ("emer", "records.csv", "record_id", "id", "records.csv cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("to", "file", "old", "new", "says"), FAULTS)
def test_faults_are_named(reasoned: Path, tmp_path: Path, to: str, file: str, old: str, new: str, says: str) -> None:
    convert_dataset(reasoned, to, tmp_path, force=True)
    assert check_converted(tmp_path, to) == []
    change(tmp_path / file, old, new)
    assert says in "\n".join(check_converted(tmp_path, to))


@FORMAT
def test_missing_videos_and_ids_that_are_there_twice(reasoned: Path, tmp_path: Path, to: str) -> None:
    convert_dataset(reasoned, to, tmp_path, force=True)
    path = {"llava": "train.json", "merr": "train_coarse_grained.txt", "emer": "train.csv"}.get(to, "train.jsonl")
    lines = (tmp_path / path).read_text().splitlines(keepends=True)
    first = {"llava": 1, "emer": 1}.get(to, 0)
    twice = lines[first] if to != "llava" else lines[first].rstrip(",\n") + ",\n"
    (tmp_path / path).write_text("".join([*lines[:first], twice, *lines[first:]]))
    assert any("twice" in fault for fault in check_converted(tmp_path, to))
    next((tmp_path / "videos").iterdir()).unlink()
    assert any("is not there" in fault for fault in check_converted(tmp_path, to))


@FORMAT
def test_nothing_of_ours(tmp_path: Path, to: str) -> None:
    assert len(check_converted(tmp_path, to)) == 1
    with pytest.raises(DatasetError):
        read_converted(tmp_path, to)
