"""One person is removed everywhere, the others stay, and a search finds nothing."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from deemo_data.annotation import agree
from deemo_data.annotation.label_studio import workspace
from deemo_data.annotation.raw_log import RawLog, snapshot_of
from deemo_data.clip import Clip, SafeClip, write_clips
from deemo_data.errors import ConfigError, LabelError, ProjectError
from deemo_data.files import File, append_lines
from deemo_data.labels import store
from deemo_data.labels.label import PushRecord
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.pipeline.run import Failure
from deemo_data.project import corrections, problems, speakers, withdrawals
from deemo_data.project.clips import read_project_clips
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from deemo_data.sources.intake import Intake, IntakeOptions
from deemo_data.sources.subjects import Person, read_subjects, write_subjects
from deemo_data.workflow import ingest, run, segment
from deemo_data.workflow.forget import forget_person
from tests.makers.labels import event
from tests.makers.people import (
    NAMES,
    everything,
    project,  # noqa: F401
    traces,
    two_people,
)


@pytest.mark.parametrize(
    "who", ["zebulon quixote", " Zebulon Quixote ", "s-00000000", "S-00000000", "aaaaaaaaaaaa", "v", "c", "clip"]
)
def test_one_goes_and_the_other_stays(project: Project, who: str) -> None:
    clip = "aaaaaaaaaaaa-0-4000"
    public = {
        "v": derive_public_id(project.secret, "v", "aaaaaaaaaaaa"),
        "c": derive_public_id(project.secret, "c", clip),
        "clip": clip,
    }
    gone = forget_person(project, public.get(who, who))
    assert (gone.sources, gone.clips, gone.labels, gone.leftovers) == (1, 1, 2, ())
    assert [Path(p).name for p in gone.outside_footage] == ["aaaaaaaaaaaa.mp4"], "what lies elsewhere is not ours to delete"
    assert Path(gone.outside_footage[0]).exists()
    text = everything(project)
    for trace in ("aaaaaaaaaaaa", "Zebulon", "s-00000000", derive_public_id(project.secret, "v", "aaaaaaaaaaaa")):
        assert trace not in text
    assert [s.source for s in project.read_sources()] == ["bbbbbbbbbbbb"]
    assert [p.name for p in read_subjects(project.private_dir / "subjects.csv")] == ["Perpetua Birdwhistle"]
    assert len(store.read_labels(project.labels_dir)) == 1
    assert len(store.read_ledger(project.labels_dir)) == 1
    assert len(corrections.read_boxes(project.root)) == len(corrections.read_withheld_spans(project.root)) == 1
    assert list(speakers.read_speakers(project.root)) == ["bbbbbbbbbbbb"]
    assert len(list(project.store_dir.glob("*/*/entry.json"))) == 2
    assert len(list(project.released_dir.iterdir())) == 1


def test_the_tombstone_says_how_much_and_not_whose(project: Project) -> None:
    forget_person(project, "Zebulon Quixote")
    (line,) = (project.root / withdrawals.WITHDRAWALS_FILE).read_text().splitlines()
    row = json.loads(line)
    assert {k: row[k] for k in ("sources", "clips", "labels")} == {"sources": 1, "clips": 1, "labels": 2}
    assert set(row) == {"at", "sources", "clips", "labels", "marks"}


def test_withdrawn_footage_is_not_taken_in_again(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = [s for s in project.read_sources() if s.source == "aaaaaaaaaaaa"]
    forget_person(project, "Zebulon Quixote")

    def again(rows: object, options: IntakeOptions, *more: object) -> Intake:
        write_subjects(options.subjects or tmp_path, [Person(source.source, "s-00000000", "Zebulon Quixote", ())])
        return Intake([source], outcomes={"a.mp4": "taken_in"}, uris={source.source: ["a.mp4"]})

    monkeypatch.setattr("deemo_data.sources.intake.take_in_sources", again)
    taken, missing = ingest.ingest_sources(project, str(tmp_path / "footage"), "yes")
    assert taken == []
    assert "was withdrawn on" in missing[0].reason
    counts = json.loads((project.out_dir / "ingest.json").read_text())
    assert (counts["files"], counts["taken_in"], counts["refused"]) == (1, 0, 1)
    assert "Zebulon" not in everything(project)
    assert "aaaaaaaaaaaa" not in (project.root / "sources.jsonl").read_text()
    old = withdrawals.mark_of(project, source.files["source"].sha256)
    (project.root / withdrawals.WITHDRAWALS_FILE).write_text(json.dumps({"at": "2026-01-02T03:04", "marks": [old]}) + "\n")
    assert withdrawals.withdrawn_at(project, source) == "2026-01-02T03:04", "marks as they were made once hold"


def test_nobody_is_called_so(project: Project) -> None:
    before = everything(project)
    with pytest.raises(ConfigError) as e:
        forget_person(project, "Nobody")
    assert "s-00000000, s-00000001" in e.value.advice
    assert everything(project) == before


def test_a_server_that_does_not_answer_leaves_all_as_it_was(project: Project) -> None:
    said = {"url": "http://127.0.0.1:9", "token": "0" * 40, "projects": {"nfbl_timeline": 1}}
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps(said))
    before = everything(project)
    with pytest.raises(LabelError, match="no Label Studio answers"):
        forget_person(project, "Zebulon Quixote")
    assert everything(project) == before
    assert forget_person(project, "Zebulon Quixote", label_studio=False).leftovers == ()


def test_what_the_search_still_finds_is_told(project: Project) -> None:
    (project.root / "notes.txt").write_text("call Zebulon Quixote on Monday")
    assert forget_person(project, "Zebulon Quixote").leftovers == ("notes.txt",)


# ── whose sources, whose labels ──────────────────────────────────────────────────────────────────────────────


def add_source(project: Project, source: str, like: str, name: str = "", subject: str = "") -> Clip:
    """One more source, of whoever is in another one unless told otherwise."""
    (old,) = [s for s in project.read_sources() if s.source == like]
    footage = old.path("source").with_name(f"{source}.mp4")
    footage.write_bytes(source.encode() * 99)
    files = {"source": File(str(footage), File.of(footage).sha256)}
    made = replace(old, id=source, source=source, files=files, facts=old.facts | ({"subject": subject} if subject else {}))
    write_clips([*project.read_sources(), made], project.root / "sources.jsonl")
    who = Person(source, str(made.facts["subject"]), name or NAMES[like], ())
    write_subjects(project.private_dir / "subjects.csv", [who])
    return made


@pytest.mark.parametrize("who", ["Zebulon Quixote", "s-00000000", "aaaaaaaaaaaa", "cccccccccccc"])
def test_a_person_in_two_sources_goes_from_both(project: Project, who: str) -> None:
    add_source(project, "cccccccccccc", "aaaaaaaaaaaa")
    gone = forget_person(project, who)
    assert (gone.sources, gone.leftovers) == (2, ())
    assert "cccccccccccc" not in everything(project)
    assert [s.source for s in project.read_sources()] == ["bbbbbbbbbbbb"]
    (row,) = (json.loads(line) for line in (project.root / withdrawals.WITHDRAWALS_FILE).read_text().splitlines())
    assert row["sources"] == 2


def test_names_that_differ_in_capitals_only_are_two_people(project: Project) -> None:
    add_source(project, "cccccccccccc", "aaaaaaaaaaaa", "ZEBULON QUIXOTE", "s-00000003")
    with pytest.raises(ConfigError, match="2 people here are called 'zebulon quixote'") as e:
        forget_person(project, "zebulon quixote")
    assert "s-00000000, s-00000003" in e.value.advice
    assert forget_person(project, "ZEBULON QUIXOTE").sources == 1
    assert {s.source for s in project.read_sources()} == {"aaaaaaaaaaaa", "bbbbbbbbbbbb"}


def test_somebody_whose_footage_is_not_listed_any_more(project: Project) -> None:
    """As after `deemo ingest --replace`: sources.jsonl lacks them, all else is there; and so it is with somebody who stays."""
    add_source(project, "cccccccccccc", "bbbbbbbbbbbb", "Ottoline", "s-00000003")
    write_clips([s for s in project.read_sources() if s.source == "cccccccccccc"], project.root / "sources.jsonl")
    downloads = project.private_dir / "downloads"
    downloads.mkdir()
    (downloads / f"aaaaaaaaaaaa{'0' * 52}.mp4").write_bytes(b"...")
    (downloads / "downloads.json").write_text(
        json.dumps({"https://e.org/zq": f"aaaaaaaaaaaa{'0' * 52}.mp4", "https://e.org/x": "b.mp4"})
    )
    (source,) = project.read_sources()
    withdrawn_source = replace(source, source="aaaaaaaaaaaa", id="aaaaaaaaaaaa")
    gone = forget_person(project, "Zebulon Quixote")
    assert (gone.sources, gone.clips, gone.labels, gone.leftovers, gone.outside_footage) == (1, 1, 2, (), ())
    text = everything(project)
    assert [t for t in traces(project, "aaaaaaaaaaaa", "Zebulon") if t in text] == []
    assert json.loads((downloads / "downloads.json").read_text()) == {"https://e.org/x": "b.mp4"}
    assert "bbbbbbbbbbbb-0-4000" in (project.root / "clips.jsonl").read_text(), "who is not listed either stays as they are"
    assert withdrawals.withdrawn_at(project, withdrawn_source), "it is known again by its id"


def test_what_stays_stays_to_the_letter(project: Project) -> None:
    """No line of anybody else is written otherwise, and no name of theirs gets into a list that has none."""
    before = {p: p.read_bytes().splitlines() for p in project.root.rglob("*.jsonl")}
    forget_person(project, "s-00000000")
    for path, lines in before.items():
        assert set(path.read_bytes().splitlines()) < set(lines), path
    assert "Birdwhistle" not in (project.root / "clips.jsonl").read_text()


def test_a_correction_whose_line_end_is_missing_stays(project: Project) -> None:
    path = project.root / "corrections" / corrections.BOXES_FILE
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    forget_person(project, "Zebulon Quixote")
    assert [b.source for b in corrections.read_boxes(project.root)] == ["bbbbbbbbbbbb"]


def test_labels_of_older_cuts_and_of_foreign_exports(project: Project) -> None:
    """A clip that is not cut so any more, pushed or only labelled; labels on the whole source; a deletion in another file."""
    whole = derive_public_id(project.secret, "v", "aaaaaaaaaaaa")
    (source,) = [s for s in project.read_sources() if s.source == "aaaaaaaaaaaa"]
    old = replace(Clip.of_span(source, 4000, 9000))
    outside = derive_public_id(project.secret, "c", old.id)
    shown = SafeClip(replace(old, id=outside, source=whole))
    store.record_pushed(project.labels_dir, [PushRecord.of(shown, load_nfbl("nfbl"), "mer_clues", None)])
    held = snapshot_of({"id": 9, "data": {"clip": outside, "transcript": "zymurgy"}, "annotations": []}, project.secret)
    RawLog(project.labels_dir / "raw" / "project-2.jsonl", "v").record({"t9": held}, {})
    append_lines(project.labels_dir / "raw" / "project-2.jsonl", [{"task": "t9", "gone": True}])
    said = {
        "foreign/1": replace(event(0, 5000), clip=whole, source=whole),
        "never/2": replace(event(0, 9), clip="c-" + "9" * 16, source=whole),
    }
    store.update_labels(project.labels_dir, "pulled", said)
    append_lines(project.labels_dir / "project-3.jsonl", [{"key": "foreign/1", "deleted": True}])
    (project.released_dir / f"{outside}.mp4").write_bytes(b"...")
    assert forget_person(project, outside).leftovers == ()
    text = everything(project)
    gone = [*traces(project, "aaaaaaaaaaaa", "Zebulon"), "zymurgy", '"t9"', "foreign/1", "c-" + "9" * 16]
    assert [t for t in gone if t in text] == []
    assert len(store.read_labels(project.labels_dir)) == 1


def test_the_next_version_knows_what_was_there(project: Project) -> None:
    past = project.out_dir / "dataset.past.json"
    past.write_text("{}")
    forget_person(project, "Zebulon Quixote")
    assert past.exists(), "its changelog says how many records went"


def test_a_dataset_that_was_never_finished_goes(project: Project) -> None:
    clips = project.dataset_dir / "train" / "clips"
    clips.mkdir(parents=True)
    (clips / f"{derive_public_id(project.secret, 'c', 'aaaaaaaaaaaa-0-4000')}.mp4").write_bytes(b"...")
    assert forget_person(project, "Zebulon Quixote").leftovers == ()


def test_what_killed_processes_left_goes(project: Project) -> None:
    dead = 2**22 - 7  # no process has this number
    (project.root / f".clips.jsonl.{dead}").write_text("aaaaaaaaaaaa")
    (project.out_dir / f".run.json.{os.getpid()}").write_text("somebody writes this")
    making = project.store_dir / "Transcribe" / f".{'0' * 32}.aaaaaaaaaaaa.0123abcd"
    making.mkdir(parents=True)
    (making / "words.json").write_text("zymurgy")
    with open(project.labels_dir / "project-1.jsonl", "a") as f:
        f.write('{"key": "x/1", "clip": "' + derive_public_id(project.secret, "c", "aaaaaaaaaaaa-0-4000"))
    assert forget_person(project, "Zebulon Quixote").leftovers == ()
    assert "zymurgy" not in everything(project)
    assert (project.out_dir / f".run.json.{os.getpid()}").exists()


def test_a_last_line_that_an_editor_left_without_a_newline_goes_too(project: Project) -> None:
    for path in [*project.labels_dir.rglob("*.jsonl"), *(project.root / "corrections").glob("*.jsonl")]:
        path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert forget_person(project, "Zebulon Quixote").leftovers == ()
    assert "zymurgy" not in everything(project)


def test_a_damaged_line_is_told_and_then_it_goes_on(project: Project) -> None:
    raw = project.labels_dir / "raw" / "project-1.jsonl"
    good = raw.read_bytes()
    raw.write_bytes(b"{damaged\n" + good)
    with pytest.raises(LabelError, match=r"project-1.jsonl line 1 cannot be read"):
        forget_person(project, "Zebulon Quixote")
    raw.write_bytes(good)
    assert forget_person(project, "Zebulon Quixote").leftovers == ()
    assert len((project.root / withdrawals.WITHDRAWALS_FILE).read_text().splitlines()) == 1


def test_a_line_of_somebody_forgotten_twice(project: Project, tmp_path: Path) -> None:
    """Footage of theirs that comes later is one more withdrawal; the first is not told again."""
    forget_person(project, "Zebulon Quixote")
    add_source(project, "cccccccccccc", "bbbbbbbbbbbb", "Zebulon Quixote", "s-00000000")
    assert forget_person(project, "Zebulon Quixote").sources == 1
    rows = [json.loads(line) for line in (project.root / withdrawals.WITHDRAWALS_FILE).read_text().splitlines()]
    assert [(r["sources"], r["clips"], r["labels"]) for r in rows] == [(1, 1, 2), (1, 0, 0)]
    assert not set(rows[0]["marks"]) & set(rows[1]["marks"])


# ── Label Studio, killed ─────────────────────────────────────────────────────────────────────────────────────


NOWHERE = {"url": "http://127.0.0.1:9", "token": "0" * 40}


def test_a_project_that_was_never_pushed_asks_no_server(project: Project) -> None:
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps(NOWHERE))
    (project.labels_dir / store.LEDGER_FILE).unlink()
    assert forget_person(project, "Zebulon Quixote").leftovers == ()


def test_clips_that_went_into_a_file_ask_no_server(project: Project) -> None:
    assert forget_person(project, "Zebulon Quixote").leftovers == (), "there is a ledger, and no server is known"


def test_a_server_of_the_environment_is_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """private/label_studio.json has no address then."""
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps({"projects": {"nfbl_timeline": 1}}))
    before = everything(project)
    with pytest.raises(LabelError, match="no Label Studio is known") as e:
        forget_person(project, "Zebulon Quixote")
    assert "LABEL_STUDIO_URL" in e.value.advice
    monkeypatch.setenv("LABEL_STUDIO_URL", NOWHERE["url"])
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", NOWHERE["token"])
    with pytest.raises(LabelError, match="no Label Studio answers"):
        forget_person(project, "Zebulon Quixote")
    assert everything(project) == before


def test_nobody_pushes_meanwhile(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is asked by who has the lock of the project, so that no push can be between that and the end."""
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps({"projects": {"nfbl_timeline": 1}}))

    def asked(*_: object) -> int:
        with open(project.private_dir / "lock", "a") as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise LabelError("asked")

    monkeypatch.setattr("deemo_data.workflow.forget.erase_from_label_studio", asked)
    with pytest.raises(LabelError, match="asked"):
        forget_person(project, "Zebulon Quixote")


STEPS = ("os.remove", "os.rename", "os.truncate", "os.rmdir", "shutil.rmtree", "sqlite3.connect")


def killed_at(step: int, root: Path) -> int:
    """`forget` in a process of its own that is killed before its step number `step` that changes anything; how it ended."""
    process = get_context("spawn").Process(target=forget_until, args=(step, root))
    process.start()
    process.join()
    return process.exitcode or 0


def forget_until(step: int, root: Path) -> None:
    done = [0]

    def count(event: str, args: tuple[object, ...]) -> None:
        if event in STEPS or (event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            done[0] += 1
            if done[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    forget_person(Project.open(root), "Zebulon Quixote")


@pytest.mark.slow
def test_killed_anywhere_it_is_finished_by_typing_it_again(tmp_path: Path) -> None:
    step, finished = 1, 0
    while not finished:
        (tmp_path / str(step)).mkdir()
        project = two_people(tmp_path / str(step))
        making = project.store_dir / "Transcribe" / "key-words"
        making.mkdir(parents=True)
        (making / "words.json").write_text("zymurgy")
        (making / "entry.json").write_text(json.dumps({"source": "aaaaaaaaaaaa"}))
        finished = killed_at(step, project.root) == 0
        if not finished:
            try:
                assert forget_person(project, "Zebulon Quixote").leftovers == ()
            except ConfigError:
                assert "aaaaaaaaaaaa" not in (project.private_dir / "subjects.csv").read_text(), (
                    "nothing but the search was left to do"
                )
        text = everything(project)
        assert [t for t in [*traces(project, "aaaaaaaaaaaa", "Zebulon"), "zymurgy"] if t in text] == [], step
        rows = (project.root / withdrawals.WITHDRAWALS_FILE).read_text().splitlines()
        assert [{k: json.loads(r)[k] for k in ("sources", "clips", "labels")} for r in rows] == [
            {"sources": 1, "clips": 1, "labels": 2}
        ]
        assert len(store.read_labels(project.labels_dir)) == len(store.read_ledger(project.labels_dir)) == 1
        step += 1
    assert step > 30, "it was killed at every step"


# ── while other commands are at work ─────────────────────────────────────────────────────────────────────────


def test_footage_that_is_withdrawn_while_it_is_taken_in(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = project.read_sources()

    def meanwhile(rows: object, *_: object) -> Intake:
        forget_person(project, "Zebulon Quixote")
        write_subjects(project.private_dir / "subjects.csv", [Person("aaaaaaaaaaaa", "s-00000000", "Zebulon Quixote", ())])
        return Intake(sources)

    monkeypatch.setattr("deemo_data.sources.intake.take_in_sources", meanwhile)
    taken, missing = ingest.ingest_sources(project, str(tmp_path / "footage"), "yes")
    assert [s.source for s in taken] == [s.source for s in project.read_sources()] == ["bbbbbbbbbbbb"]
    assert "was withdrawn on" in missing[0].reason
    assert [t for t in traces(project, "aaaaaaaaaaaa", "Zebulon") if t in everything(project)] == []


@pytest.mark.parametrize("command", [segment.segment_sources, run.run_project])
def test_clips_that_are_withdrawn_while_they_are_worked_on(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: Callable[[Project], tuple[list[Clip], list[problems.Problem]]]
) -> None:
    clips = {s.source: [Clip.of_span(s, 0, 4000)] for s in project.read_sources()}
    monkeypatch.setattr("deemo_data.workflow.segment.cut_source_into_clips", lambda source, *_: clips[source.source])
    before = read_project_clips(project)

    def meanwhile(*_: object, **__: object) -> tuple[list[Clip], list[Failure]]:
        if not (project.root / withdrawals.WITHDRAWALS_FILE).exists():
            forget_person(project, "Zebulon Quixote")
        home = project.store_dir / "Segment" / "later"
        home.mkdir(parents=True, exist_ok=True)
        (home / "entry.json").write_text(json.dumps({"source": "aaaaaaaaaaaa"}))
        return before, [Failure(c, "MaskVideo", "for a test", "") for c in before]

    monkeypatch.setattr("deemo_data.pipeline.run.run_stages", meanwhile)
    monkeypatch.setattr("deemo_data.workflow.run.run_stages", meanwhile)
    done, missing = command(project)
    assert {c.source for c in done} <= {"bbbbbbbbbbbb"}
    assert len(missing) == 1
    assert "aaaaaaaaaaaa" not in everything(project)


def test_agreement_that_saw_somebody_who_withdrew_is_not_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "deemo_data.agreement.measure.measure_agreement", lambda *_, **__: forget_person(project, "Zebulon Quixote") and {}
    )
    with pytest.raises(ProjectError, match="somebody withdrew"):
        agree.measure_agreement(project)
    assert not (project.out_dir / "agreement.json").exists()
