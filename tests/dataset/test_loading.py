"""The printed line loads the dataset with `datasets` itself, wherever the folder lies; our own readers find it there too."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import datasets
import pytest

from deemo_data.baseline.data import load_dataset
from deemo_data.dataset.loading import explain_loading, has_pattern, render_loading_call
from deemo_data.dataset.validation.dataset import validate_dataset
from tests.makers.documents import build_dataset

PLAIN = [
    "plain",
    "with space",
    "quo'te\"d",
    "ü 中",
    "br{a,b}ce",
    "back\\slash",
    "100%20",
    "trail ",
    "new\nline",
    "$HOME",
    "x.parquet",
]
PATTERNS = ["pr [x]", "[!a]b", "a*b", "what?", "**", "[[]", "é[1]*"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_dataset(tmp_path_factory.mktemp("made"))


def put(made: Path, at: Path) -> Path:
    return Path(shutil.copytree(made, at / "out" / "dataset"))


def run(call: str, cache: Path) -> dict[str, int]:
    """What the printed line gives: rows of each split, with its videos where they lie."""
    call = call.removesuffix(")") + f", cache_dir={str(cache)!r})"
    loaded = eval(call, {"datasets": datasets})
    for table in loaded.values():
        video = table.cast_column("video", datasets.Video(decode=False))[0]["video"]["path"]
        assert Path(video).is_file()
    return {split: len(table) for split, table in loaded.items()}


@pytest.mark.parametrize("config", ["nfbl", "mer"])
@pytest.mark.parametrize("name", ["plain", "quo'te\"d", "br{a,b}ce", "back\\slash", "pr [x]", "a*b", "é[1]*"])
def test_the_printed_line_loads(made: Path, tmp_path: Path, name: str, config: str) -> None:
    folder = put(made, tmp_path / name)
    (tmp_path / "axxb").mkdir()  # what a pattern would match besides
    rows = {"nfbl": {"train": 4, "validation": 1, "test": 1}, "mer": {"train": 3, "validation": 1, "test": 1}}[config]
    assert run(render_loading_call(folder, config), tmp_path / "cache") == rows


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PLAIN, *PATTERNS, "~tilde"])
def test_every_printed_line_loads(made: Path, tmp_path: Path, name: str) -> None:
    assert sum(run(render_loading_call(put(made, tmp_path / name)), tmp_path / "cache").values()) == 6


def test_a_relative_path_and_a_slash_at_the_end(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(made, tmp_path / "pr")
    put(made, tmp_path / "~pr")
    monkeypatch.chdir(tmp_path)
    assert render_loading_call(Path("pr/out/dataset/")) == 'datasets.load_dataset("pr/out/dataset", "nfbl")'
    for folder in (Path("pr/out/dataset/"), Path("~pr/out/dataset")):
        assert sum(run(render_loading_call(folder), tmp_path / "cache").values()) == 6


def test_a_pattern_above_a_relative_path_counts(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(made, tmp_path / "[x]")
    monkeypatch.chdir(tmp_path / "[x]")
    assert has_pattern(Path("out/dataset"))
    assert sum(run(render_loading_call(Path("out/dataset")), tmp_path / "cache").values()) == 6


@pytest.mark.parametrize("name", PLAIN)
def test_nothing_is_said_of_a_path_that_loads(tmp_path: Path, name: str) -> None:
    assert explain_loading(tmp_path / name) == []


@pytest.mark.parametrize("name", PATTERNS)
def test_a_path_that_is_a_pattern_is_told(tmp_path: Path, name: str) -> None:
    (line,) = explain_loading(tmp_path / name)
    assert "takes [ * ? in a path for patterns. Copy the folder" in line
    assert "data_files=" in line


@pytest.mark.parametrize("name", ["co::lon", "$HOME[1]", os.fsdecode(b"\xff[1]")])
def test_a_path_that_cannot_be_loaded_is_told(tmp_path: Path, name: str) -> None:
    assert render_loading_call(tmp_path / name) == ""
    assert explain_loading(tmp_path / name)[0].endswith(
        "cannot read from a path with these characters. Copy the folder to another path"
    )


@pytest.mark.parametrize("name", ["pr [x]", "a*b", "what?"])
def test_our_own_readers_do_not_take_it_for_a_pattern(made: Path, tmp_path: Path, name: str) -> None:
    put(made, tmp_path / name.replace("*", "x").replace("?", "x").replace("[x]", "x"))  # what the pattern would match
    folder = put(made, tmp_path / name)
    assert [f for f in validate_dataset(folder) if f.level == "error"] == []
    assert len(validate_dataset(folder)) == len(validate_dataset(made))
    assert len(load_dataset(folder).examples) == 5
