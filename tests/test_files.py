"""Lists of JSON lines, files that take their place whole, and what a killed process leaves of both."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deemo_data.errors import DatasetError, LabelError, ProjectError
from deemo_data.files import append_lines, link_or_copy, read_lines, replace_file, staged, sweep_staged, write_if_changed

ROWS: list[dict[str, Any]] = [{"id": n, "text": "ä" * n} for n in range(1, 4)]
NO_PROCESS = 2**22 - 7  # no process has this number


def rows_of(path: Path) -> list[Any]:
    return [line.row for line in read_lines(path)]


# ── JSON lines ───────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_come_back_with_their_line_and_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.jsonl"
    assert rows_of(path) == [], "a list that is not there yet is empty"
    append_lines(path, [])
    assert not path.exists()
    append_lines(path, ROWS[:2])
    append_lines(path, ROWS[2:])
    assert rows_of(path) == ROWS
    assert [line.number for line in read_lines(path)] == [1, 2, 3]
    assert b"".join(line.text for line in read_lines(path)) == path.read_bytes()


def test_a_whole_last_row_without_its_newline_is_read_and_kept(tmp_path: Path) -> None:
    """As an editor saves it that writes no final newline."""
    path = tmp_path / "a.jsonl"
    append_lines(path, ROWS[:2])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert rows_of(path) == ROWS[:2]
    append_lines(path, ROWS[2:])
    assert rows_of(path) == ROWS
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("before", [0, 2])
def test_half_a_row_of_a_killed_process_is_dropped_wherever_it_was_cut(tmp_path: Path, before: int) -> None:
    path = tmp_path / "a.jsonl"
    path.touch()
    append_lines(path, ROWS[:before])
    whole, row = path.read_bytes(), json.dumps(ROWS[2]).encode()
    for end in range(1, len(row)):
        path.write_bytes(whole + row[:end])
        assert rows_of(path) == ROWS[:before]
        append_lines(path, ROWS[2:])
        assert rows_of(path) == [*ROWS[:before], ROWS[2]]


def test_a_last_row_larger_than_a_block_is_kept_too(tmp_path: Path) -> None:
    path, large = tmp_path / "a.jsonl", {"text": "x" * 200_000}
    append_lines(path, [large, large])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    append_lines(path, ROWS)
    assert rows_of(path) == [large, large, *ROWS]
    path.write_bytes(path.read_bytes() + json.dumps(large).encode()[:-1])
    append_lines(path, ROWS)
    assert rows_of(path) == [large, large, *ROWS, *ROWS]


def test_blank_lines_of_an_editor_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"id": 1}\n\n{"id": 2}\n  \n')
    assert [(line.number, line.row) for line in read_lines(path)] == [(2, {"id": 1}), (4, {"id": 2})]


@pytest.mark.parametrize("damage", ["{", "[]", "5", '"text"', "null", '{"id": 1', "\0\0\0"])
def test_a_damaged_line_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id": 1}}\n{damage}\n{{"id": 2}}\n')
    with pytest.raises(LabelError, match=r"^a\.jsonl line 2 cannot be read: .*backup$"):
        rows_of(path)
    with pytest.raises(ProjectError, match=r"^line 2: "):
        list(read_lines(path, lambda number, why: ProjectError(f"line {number}: {why}")))


def test_a_strict_list_may_hold_nothing_but_rows(tmp_path: Path) -> None:
    def strict() -> list[Any]:
        return [line.row for line in read_lines(path, lambda number, why: DatasetError(f"line {number}"), strict=True)]

    path = tmp_path / "a.jsonl"
    with pytest.raises(FileNotFoundError):
        strict()
    path.write_text('{"id": 1}\n{"id": 2}')
    assert strict() == [{"id": 1}, {"id": 2}], "a whole row without its newline is a row here too"
    for tail in ('{"id', "\n"):
        path.write_text(f'{{"id": 1}}\n{tail}')
        with pytest.raises(DatasetError, match="line 2"):
            strict()


def test_nothing_is_appended_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(ProjectError, match="symbolic link"):
        append_lines(tmp_path / "a.jsonl", ROWS)
    assert (tmp_path / "mine").read_text() == ""


def _append_many(path: Path, who: str) -> None:
    for number in range(30):
        append_lines(path, [{"who": who, "number": number}])


def test_two_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "a.jsonl"
    both = [context.Process(target=_append_many, args=(path, who)) for who in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join()
    rows = rows_of(path)
    for who in "ab":
        assert [r["number"] for r in rows if r["who"] == who] == list(range(30))


# ── files that are staged ────────────────────────────────────────────────────────────────────────────────────


def test_a_staged_file_takes_its_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with staged(path) as staging:
        staging.write_text("new")
        assert path.read_text() == "old"
        assert staging.parent == path.parent, "on the same disk, so that it can be renamed"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with suppress(RuntimeError), staged(path) as staging:
        staging.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_there_in_the_end_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with staged(path):
        pass
    with staged(path) as staging:
        staging.write_text("the same")
        staging.unlink()
    with staged(tmp_path / "nowhere" / "a.txt"):
        pass
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_staged_folder_replaces_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    for text in ("old", "new"):
        with staged(path) as staging:
            (staging / "deep").mkdir(parents=True)
            (staging / "deep" / text).write_text(text)
    assert [p.name for p in (path / "deep").iterdir()] == ["new"]
    with suppress(RuntimeError), staged(path) as staging:
        staging.mkdir()
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]


def test_a_secret_is_never_open_to_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with staged(path, 0o600) as staging:
        assert staging.stat().st_mode & 0o777 == 0o600
        staging.write_text("secret")
    assert path.stat().st_mode & 0o777 == 0o600
    replace_file(path, [b"a", b"b"], 0o640)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"ab", 0o640)


def test_a_file_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert write_if_changed(path, "text")
    before = path.stat().st_ino
    path.chmod(0o666)
    assert not write_if_changed(path, "text")
    assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (before, 0o644)
    assert write_if_changed(path, "texts")


def test_a_link_replaces_what_says_something_else(tmp_path: Path) -> None:
    path, there = tmp_path / "a", tmp_path / "out" / "b"
    path.write_text("new")
    assert link_or_copy(path, there, "")
    assert there.samefile(path)
    assert not link_or_copy(path, there, "")
    there.unlink()
    there.write_text("old")
    assert link_or_copy(path, there, "")
    assert there.read_text() == "new"
    assert list(there.parent.iterdir()) == [there]


def test_only_what_dead_processes_staged_is_swept(tmp_path: Path) -> None:
    with staged(tmp_path / "a.b.txt") as staging:
        name = staging.name.replace(str(os.getpid()), str(NO_PROCESS))
    (tmp_path / name).write_text("left by a process that was killed")
    others = (f".run.json.{os.getpid()}", ".gitignore", ".a.txt", "a.7", ".a.²")
    for name in others:
        (tmp_path / name).write_text("")
    (tmp_path / f".folder.{NO_PROCESS}").mkdir()
    sweep_staged(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {*others, f".folder.{NO_PROCESS}"}
    sweep_staged(tmp_path / "nowhere")


def test_a_link_at_the_staging_name_is_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (tmp_path / f".a.txt.{os.getpid()}").symlink_to(outside, target_is_directory=True)
    write_if_changed(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (outside / "kept.txt").read_text() == "kept"


def test_a_file_that_its_owner_may_not_write_is_replaced_by_one() -> None:
    """As somebody who is not root, whom permissions do not bind."""
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "a.jsonl"
        path.write_text("old")
        path.chmod(0o444)
        user = os.geteuid()
        if not user:
            os.chown(folder, 65534, 65534)
            os.chown(path, 65534, 65534)
            os.seteuid(65534)
        try:
            replace_file(path, [b"new"], 0o444)
        finally:
            os.seteuid(user)
        assert path.read_text() == "new"
        assert path.stat().st_mode & 0o777 == 0o444
        assert [p.name for p in folder.iterdir()] == ["a.jsonl"]
    finally:
        shutil.rmtree(folder)
