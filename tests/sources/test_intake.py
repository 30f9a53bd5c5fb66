"""Footage is taken in by its content, people's names stay private, and what cannot be taken in is said truly."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from deemo_data.clip import Clip
from deemo_data.errors import MediaError
from deemo_data.sources.intake import IntakeOptions, Refusal, take_in_sources
from deemo_data.sources.source_table import SourceRow, read_source_rows
from deemo_data.sources.subjects import read_subjects

SECRET = b"0123456789abcdef0123456789abcdef"


def four_seconds(path: Path, vfr_fps: int, wish: object = None) -> dict[str, Any]:
    if path.read_bytes().startswith(b"no video"):
        raise MediaError(f"{path.name} has no video stream (it has audio)")
    grid = {"fps": "25", "vfr": False, "zero": "0", "frames": 100, "width": 64, "height": 48}
    return {"grid": grid, "has_sound": True, "duration_ms": 4000}


def take(rows: list[SourceRow], tmp_path: Path, **more: Any) -> tuple[list[Clip], list[Refusal]]:
    earlier = more.pop("known", ())
    options = IntakeOptions(SECRET, tmp_path / "downloads", **{"probe": four_seconds, **more})
    result = take_in_sources(rows, options, earlier)
    return result.sources, result.refusals


def file(path: Path, content: str = "video") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def table(tmp_path: Path, text: str) -> list[SourceRow]:
    return read_source_rows(str(file(tmp_path / "sources.csv", text)))


# ── ingest ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_source_is_known_by_its_bytes_and_says_all_the_core_facts(tmp_path: Path) -> None:
    path = file(tmp_path / "a.mp4")
    [source], refused = take([SourceRow(str(path))], tmp_path)
    assert not refused
    assert source.id == source.source == source.files["source"].sha256[:12]
    assert (source.start_ms, source.end_ms) == (0, 4000)
    assert set(source.facts) == {"grid", "has_sound", "stamp", "subject", "subject_assumed", "consent", "licence", "spans"}
    assert source.facts["stamp"] == [5, path.stat().st_mtime_ns, path.stat().st_ctime_ns]
    assert source.facts["subject_assumed"] is True
    assert source.facts["consent"] is None
    [moved], _ = take([SourceRow(str(path.rename(tmp_path / "b.mp4")))], tmp_path)
    assert moved.id == source.id
    assert moved.facts["subject"] == source.facts["subject"]


def test_the_same_bytes_twice_are_one_source_with_the_spans_of_both(tmp_path: Path) -> None:
    one, two = file(tmp_path / "a.mp4"), file(tmp_path / "b.mp4")
    rows = [SourceRow(str(one), start_ms=2000, end_ms=3000), SourceRow(str(two), "Ann", start_ms=0, end_ms=1000)]
    [source], refused = take(rows, tmp_path)
    assert source.facts["spans"] == [[0, 1000], [2000, 3000]]
    assert source.facts["subject_assumed"] is False
    assert not refused


def test_the_same_bytes_with_two_subjects_are_listed(tmp_path: Path) -> None:
    rows = [SourceRow(str(file(tmp_path / "a.mp4")), "Ann"), SourceRow(str(file(tmp_path / "b.mp4")), "Bo")]
    [source], [refused] = take(rows, tmp_path)
    assert source.path("source").name == "a.mp4"
    assert refused.reason == "b.mp4 holds the same bytes as a.mp4, but another subject is given"


def test_the_same_bytes_twice_take_the_tracks_that_one_of_the_rows_names(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        file(tmp_path / name)
    [source], refused = take(table(tmp_path, "uri,audio_track\na.mp4,\nb.mp4,2\nc.mp4,\n"), tmp_path)
    assert source.facts["tracks_said"]["audio_track"] == 2
    assert not refused
    [source], [refusal] = take(table(tmp_path, "uri,audio_track,mix\na.mp4,2,\nb.mp4,,left\n"), tmp_path)
    assert (source.facts["tracks_said"]["audio_track"], source.facts["tracks_said"]["mix"]) == (2, "")
    assert refusal.reason == "b.mp4 holds the same bytes as a.mp4, but another choice of tracks is given"


def test_a_withdrawal_holds_for_a_web_address_that_is_gone_and_without_the_name_in_it(tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/video.mp4"
    file(tmp_path / "downloads" / "downloads.json", json.dumps({address: "0f.mp4"}))
    rows = [SourceRow(address, "Ann Lee", consent="withdrawn by Ann")]
    result = take_in_sources(rows, IntakeOptions(SECRET, tmp_path / "downloads", probe=four_seconds))
    assert result.outcomes == {address: "refused"}
    assert result.denials == {str(tmp_path / "downloads" / "0f.mp4"): "withdrawn"}


def test_names_go_into_the_private_list_only(tmp_path: Path) -> None:
    list_of_people = tmp_path / "private" / "subjects.csv"
    rows = [SourceRow(str(file(tmp_path / "a.mp4")), "Ann Lee", ("Ann", "Bo"), "signed form 12")]
    [source], _ = take(rows, tmp_path, subjects=list_of_people)
    said = json.dumps({k: v for k, v in source.to_row()["facts"].items() if k != "consent"})
    assert "Ann" not in said
    assert "Bo" not in said
    [person] = read_subjects(list_of_people)
    assert (person.source, person.subject, person.name, person.known_names) == (
        source.source, source.facts["subject"], "Ann Lee", ("Ann", "Bo"),
    )  # fmt: skip
    assert stat.S_IMODE(list_of_people.stat().st_mode) == 0o600


def test_a_consent_that_names_somebody_is_refused(tmp_path: Path) -> None:
    rows = [SourceRow(str(file(tmp_path / "a.mp4")), "Ann Lee", ("Ann", "Bo"), "signed by ann's lawyer")]
    taken, [refused] = take(rows, tmp_path)
    assert not taken
    assert refused.reason == "a.mp4: its consent holds its subject or a known name, and is published"
    taken, _ = take([SourceRow(rows[0].uri, "Ann Lee", ("Bo",), "signed in both offices")], tmp_path)
    assert taken, "part of a word is no name"


def test_the_private_list_keeps_what_it_knew_and_is_not_rewritten_for_nothing(tmp_path: Path) -> None:
    list_of_people = tmp_path / "subjects.csv"
    take([SourceRow(str(file(tmp_path / "a.mp4", "one")), "Ann")], tmp_path, subjects=list_of_people)
    take([SourceRow(str(file(tmp_path / "b.mp4", "two")), "Bo")], tmp_path, subjects=list_of_people)
    before = list_of_people.stat()
    take([SourceRow(str(tmp_path / "b.mp4"), "Bo")], tmp_path, subjects=list_of_people)
    assert {p.name for p in read_subjects(list_of_people)} == {"Ann", "Bo"}
    assert (list_of_people.stat().st_mtime_ns, list_of_people.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_one_subject_has_one_pseudonym_in_a_project_and_another_in_the_next(tmp_path: Path) -> None:
    rows = [SourceRow(str(file(tmp_path / f"{n}.mp4", n)), who) for n, who in (("1", "Ann"), ("2", "Ann"), ("3", "Bo"))]
    sources, _ = take(rows, tmp_path)
    others = take_in_sources(rows, IntakeOptions(b"x" * 32, tmp_path, probe=four_seconds)).sources
    by_file = {s.path("source").name: s.facts["subject"] for s in sources}
    assert by_file["1.mp4"] == by_file["2.mp4"] != by_file["3.mp4"]
    assert all(len(p) == 10 and p.startswith("s-") for p in by_file.values())
    assert not {s.facts["subject"] for s in sources} & {s.facts["subject"] for s in others}


def test_consent_of_a_row_is_recorded_and_one_for_all_is_marked_asserted(tmp_path: Path) -> None:
    rows = [SourceRow(str(file(tmp_path / "a.mp4", "a")), consent="signed"), SourceRow(str(file(tmp_path / "b.mp4", "b")))]
    sources, _ = take(rows, tmp_path, consent="all agreed")
    said = {s.path("source").name: s.facts["consent"] for s in sources}
    assert said == {
        "a.mp4": {"statement": "signed", "asserted": False},
        "b.mp4": {"statement": "all agreed", "asserted": True},
    }


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (5000, 9000, "span 5000-9000 lies outside the source, which ends at 4000 ms"),
        (3000, 4090, "span 3000-4090 lies outside the source, which ends at 4000 ms"),
        (-1, 1000, "span -1-1000 lies outside the source, which ends at 4000 ms"),
        (2000, 1000, "span 2000-1000 ends before it begins"),
        (1000, 1010, "span 1000-1010 holds not one frame"),
    ],
)
def test_a_span_that_cannot_be_had_is_refused_and_the_whole_is_not_taken_instead(
    start: int, end: int, reason: str, tmp_path: Path
) -> None:
    path = str(file(tmp_path / "a.mp4"))
    sources, [refused] = take([SourceRow(path, start_ms=start, end_ms=end)], tmp_path)
    assert not sources
    assert (refused.uri, refused.reason) == (path, reason)
    [source], [refused] = take([SourceRow(path, start_ms=start, end_ms=end), SourceRow(path, start_ms=0, end_ms=2000)], tmp_path)
    assert source.facts["spans"] == [[0, 2000]]


def test_a_span_may_leave_one_end_open_and_end_a_frame_late(tmp_path: Path) -> None:
    path = str(file(tmp_path / "a.mp4"))
    [source], refused = take(
        [SourceRow(path, start_ms=3000), SourceRow(path, end_ms=1000), SourceRow(path, start_ms=2000, end_ms=4040)], tmp_path
    )
    assert source.facts["spans"] == [[0, 1000], [2000, 4000], [3000, 4000]]
    assert not refused


def test_what_cannot_be_taken_in_is_listed_with_its_true_reason_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    rows = [
        SourceRow(str(file(tmp_path / n, text))) for n, text in (("empty.mp4", ""), ("sound.mp4", "no video"), ("good.mp4", "x"))
    ]
    rows += [SourceRow(str(tmp_path / "gone.mp4")), SourceRow(str(tmp_path / "folder.mp4"))]
    sources, refused = take(rows, tmp_path)
    assert [s.path("source").name for s in sources] == ["good.mp4"]
    reasons = {Path(r.uri).name: r.reason for r in refused}
    assert reasons == {
        "empty.mp4": "empty.mp4 is empty (0 bytes)",
        "sound.mp4": "sound.mp4 has no video stream (it has audio)",
        "gone.mp4": "gone.mp4 is not there",
        "folder.mp4": "folder.mp4 is a folder, not a video",
    }


def test_an_unreadable_file_is_listed(tmp_path: Path) -> None:
    def probe(path: Path, vfr_fps: int, wish: object) -> dict[str, Any]:
        raise PermissionError(13, "Permission denied", str(path))

    _, [refused] = take([SourceRow(str(file(tmp_path / "a.mp4")))], tmp_path, probe=probe)
    assert refused.reason == "a.mp4 cannot be read: Permission denied"


def test_a_file_that_did_not_change_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path / "a.mp4")
    known, _ = take([SourceRow(str(path))], tmp_path)
    hashed: list[Path] = []
    monkeypatch.setattr("deemo_data.files.hashlib.file_digest", lambda f, name: hashed.append(Path(f.name)))
    again, _ = take([SourceRow(str(path))], tmp_path, known=known)
    assert again == known
    assert not hashed


def test_the_real_folder_gives_34_sources_and_3_true_reasons(media: Path, tmp_path: Path) -> None:
    rows = read_source_rows(str(media / "video"))
    taken = take_in_sources(rows, IntakeOptions(SECRET, tmp_path / "downloads", consent="test media"))
    sources, refused = taken.sources, taken.refusals
    assert len(sources) == 34
    assert {Path(r.uri).name: r.reason.split(" ", 1)[1].split(":")[0] for r in refused} == {
        "edge_audio_only.mp4": "has no video stream (it has audio)",
        "edge_subtitles_only.mkv": "has no video stream (it has subtitle)",
        "edge_corrupt_no_moov.mp4": "cannot be read as video or sound",
    }
    assert len({s.facts["subject"] for s in sources}) == 34
    talker = next(s for s in sources if s.path("source").name.startswith("talker"))
    assert talker.grid.frames == 518
    shutil.copy(talker.path("source"), tmp_path / "copy.mp4")
    [copy] = take_in_sources([SourceRow(str(tmp_path / "copy.mp4"))], IntakeOptions(SECRET, tmp_path / "downloads")).sources
    assert copy.id == talker.id
