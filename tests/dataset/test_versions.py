"""Versions and changelog: computed from the records, with withdrawals told apart, and nothing in them that says who."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import SafeClip
from deemo_data.dataset import versions
from deemo_data.dataset.export.export import export_dataset
from deemo_data.dataset.export.plan import DocumentInputs
from deemo_data.dataset.export.settings import ExportSettings
from deemo_data.dataset.layout import clear_dataset
from deemo_data.dataset.versions import (
    Snapshot,
    Tombstone,
    VersionEntry,
    bump_version,
    compare_versions,
    read_snapshot,
    read_tombstones,
    render_changelog,
    short_hash,
    to_row,
)
from deemo_data.errors import DatasetError
from tests.makers.datasets import EMOTIONS, NFBL, make_clip, make_event_label
from tests.makers.labels import said

DAY = "2026-11-24"


def past(rows: dict[str, str], version: str = "1.0.0", tombstones: int = 0, **more: Any) -> Snapshot:
    return Snapshot({"nfbl": rows, "mer": {}}, versions=(VersionEntry(version, DAY),), tombstones=tombstones, **more)


def test_the_first_version() -> None:
    entry = compare_versions(Snapshot(), Snapshot({"nfbl": {"a": "1", "b": "1"}, "mer": {"r": "1"}}), (), DAY)
    assert entry == VersionEntry("1.0.0", DAY, added={"nfbl": 2, "mer": 1})
    assert "- 2 clips and 1 emotion record to begin with." in render_changelog([entry])


@pytest.mark.parametrize(
    ("now", "version", "line"),
    [
        ({"a": "1", "b": "1", "c": "1"}, "1.1.0", "- 1 clip added."),
        ({"a": "1", "b": "2"}, "1.1.0", "- 1 clip changed."),
        ({"a": "1"}, "2.0.0", "- 1 clip removed: 1 clip for other reasons."),
        ({"c": "1"}, "2.0.0", "- 2 clips removed: 2 clips for other reasons."),
    ],
)
def test_what_counts_as_what(now: dict[str, str], version: str, line: str) -> None:
    entry = compare_versions(past({"a": "1", "b": "1"}), past(now), (), DAY)
    assert entry is not None
    assert entry.version == version
    assert line in render_changelog([entry])


def test_the_same_is_no_version() -> None:
    assert compare_versions(past({"a": "1"}), past({"a": "1"}), (), DAY) is None


def test_withdrawals_are_told_apart_and_once() -> None:
    gone = [Tombstone("2026-11-20", 5), Tombstone("2026-11-23", 2)]
    entry = compare_versions(past(dict.fromkeys("abcd", "1"), tombstones=1), past({"a": "1"}), gone, DAY)
    assert entry is not None
    assert (entry.removed, entry.withdrawn) == ({"nfbl": 3}, {"nfbl": 2})
    text = render_changelog([entry])
    assert "- 3 clips removed: 2 clips because somebody withdrew; 1 clip for other reasons." in text
    assert "Delete your copies of earlier versions" in text
    again = compare_versions(past({"a": "1", "b": "1"}, tombstones=2), past({"a": "1"}), gone, DAY)
    assert again is not None
    assert again.withdrawn == {}, "told in the version before"


def test_a_withdrawal_of_what_was_never_published_counts_for_nothing() -> None:
    entry = compare_versions(past({"a": "1"}), past({"a": "1", "b": "1"}), [Tombstone(DAY, 4)], DAY)
    assert entry is not None
    assert entry.withdrawn == {}
    assert "withdrew" not in render_changelog([entry])


def test_moves_and_other_columns_or_classes_are_major() -> None:
    old = past({"a": "1"}, splits={"s": "train"}, shape={"columns of nfbl": "x", "vocabulary of emotions": "e 1"})
    moved = compare_versions(old, replace(old, splits={"s": "test"}), (), DAY)
    assert moved is not None
    assert (moved.version, moved.moved) == ("2.0.0", 1)
    other = compare_versions(old, replace(old, shape={"columns of nfbl": "y", "vocabulary of emotions": "e 2"}), (), DAY)
    assert other is not None
    assert other.version == "2.0.0"
    text = render_changelog([moved, other])
    assert "- The columns of nfbl changed.\n- The vocabulary of emotions changed: e 1 → e 2." in text
    assert text.index("## 2.0.0") < text.index("- 1 subjects are in another split.")


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 2))
def test_numbers_grow(major: int, minor: int, patch: int, level: int) -> None:
    before = (major, minor, patch)
    after = tuple(int(p) for p in bump_version(f"{major}.{minor}.{patch}", level).split("."))
    assert after > before
    assert after[level + 1 :] == (0,) * (2 - level)


def test_tombstones(tmp_path: Path) -> None:
    path = tmp_path / "withdrawn.jsonl"
    assert read_tombstones(path) == []
    path.write_text('{"at": "2026-11-24T10:00:00+00:00", "clips": 3, "sources": 1, "labels": 5}\n')
    assert read_tombstones(path) == [Tombstone("2026-11-24", 3)]
    path.write_text('{"clips": 3}\n')
    with pytest.raises(DatasetError, match=r"withdrawn.jsonl line 1 is no tombstone"):
        read_tombstones(path)


def test_what_is_remembered_survives_a_file(tmp_path: Path) -> None:
    first = VersionEntry("1.0.0", DAY, added={"nfbl": 1})
    second = VersionEntry("2.0.0", DAY, moved=1, breaks=("The columns changed.",))
    made = Snapshot({"nfbl": {"a": "1"}, "mer": {}}, {"s": "train"}, {"columns of nfbl": "x"}, (first, second), 3)
    (tmp_path / "deemo.json").write_text(json.dumps({"past": to_row(made)}))
    assert read_snapshot(tmp_path / "deemo.json") == made
    (tmp_path / "deemo.json").write_text('{"format": 1}')
    assert read_snapshot(tmp_path / "deemo.json") == Snapshot()


def give(clips: list[SafeClip], out: Path, *tombstones: Tombstone, day: str = DAY, labels: Any = (), **settings: Any) -> str:
    known = DocumentInputs(tombstones=tombstones, date=day)
    made = export_dataset(clips, labels, out, nfbl=NFBL, emotions=EMOTIONS, settings=ExportSettings(**settings), inputs=known)
    return made.version


def test_versions_of_a_real_dataset(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(6)]
    out = tmp_path / "dataset"
    assert give(clips[:5], out) == "1.0.0"
    assert give(clips[:5], out, day="2026-11-25") == "1.0.0", "nothing changed"
    assert give(clips, out, labels=[said("emotion", "happy", clips[0])]) == "1.1.0"
    labels = [said("emotion", "happy", clips[0]), make_event_label(clips[1], 2, 8)]
    assert give(clips, out, labels=labels) == "1.2.0"
    assert give(clips, out, labels=labels, contact="somebody@example.org") == "1.2.1"
    text = (out / "CHANGELOG.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## 1.2.1 ({DAY})", f"## 1.2.0 ({DAY})", f"## 1.1.0 ({DAY})", f"## 1.0.0 ({DAY})"]  # fmt: skip
    assert "- 1 clip changed." in text
    assert "- 1 clip and 1 emotion record added." in text
    assert "- Only the documents changed." in text


def test_a_withdrawal_takes_the_dataset_back_and_the_next_version_says_so(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(5)]
    out = tmp_path / "dataset"
    labels = [said("emotion", "happy", c) for c in clips]
    give(clips, out, labels=labels)
    who, gone = clips[2].facts["subject"], clips[2].id
    assert who in (tmp_path / "dataset.html").read_text()
    clear_dataset(out)  # what release.take_back does
    assert not (tmp_path / "dataset.html").exists(), "it holds stills"
    assert not (out / "deemo.json").exists()
    kept = (tmp_path / "dataset.past.json").read_text()
    assert who not in kept, "nothing that is left says who withdrew"
    assert gone not in kept
    assert give([c for c in clips if c.id != gone], out, Tombstone(DAY, 1), labels=labels) == "2.0.0"
    assert not (tmp_path / "dataset.past.json").exists()
    text = (out / "CHANGELOG.md").read_text()
    assert "- 1 clip and 1 emotion record removed: 1 clip and 1 emotion record because somebody withdrew." in text
    for path in out.rglob("*"):
        if path.is_file():
            assert who.encode() not in path.read_bytes()
            assert gone.encode() not in path.read_bytes()


def test_subjects_stay_in_their_split_from_version_to_version(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(12)]
    out = tmp_path / "dataset"

    def where() -> dict[str, str]:
        return {p.stem: p.parts[-3] for p in out.rglob("*.mp4")}

    give(clips[:5], out)
    before = where()
    give(clips, out)
    assert {c: where()[c] for c in before} == before
    give(clips, out, seed=3, keep_splits=False)
    text = (out / "CHANGELOG.md").read_text()
    assert "subjects are in another split" in text
    assert versions.short_hash("x") != short_hash("y")
