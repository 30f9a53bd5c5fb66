"""One person is removed everywhere, the others stay, and a search finds nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from test_labels import event

from deemo_data import annotate, build, corrections, labels, speakers, withdrawn
from deemo_data.clip import Clip, File, Grid, write_clips
from deemo_data.config import Project
from deemo_data.errors import ConfigError, LabelError
from deemo_data.forget import forget
from deemo_data.ingest import Person, read_subjects, write_subjects
from deemo_data.label_log import Log, held_by
from deemo_data.labels import Pushed
from deemo_data.release import SafeClip, public_id
from deemo_data.vocabulary import load_nfbl

GRID = Grid(Fraction(25), False, Fraction(0), 300, 64, 36)
NAMES = {"aaaaaaaaaaaa": "Zebulon Quixote", "bbbbbbbbbbbb": "Perpetua Birdwhistle"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two people, a source and a clip each, and traces of both wherever a project keeps any."""
    made = Project.make(tmp_path / "project")
    (tmp_path / "footage").mkdir()
    sources, nfbl = [], load_nfbl("nfbl")
    for number, source in enumerate(NAMES):
        footage = tmp_path / "footage" / f"{source}.mp4"
        footage.write_bytes(source.encode() * 99)
        facts = {"grid": GRID.to_fact(), "subject": f"s-{number:08x}", "subject_assumed": False, "has_sound": False, "spans": [],
                 "stamp": [1, 1], "licence": "", "consent": {"statement": "yes", "asserted": False}}  # fmt: skip
        sources.append(Clip(source, source, 0, 12_000, {"source": File(str(footage), File.of(footage).sha256)}, facts))
    write_clips(sources, made.root / "sources.jsonl")
    clips = [Clip.of_span(s, 0, 4000) for s in sources]
    write_clips([replace(c, files={}, facts={}) for c in clips], made.root / "clips.jsonl")
    write_subjects(
        made.private / "subjects.csv", [Person(i, f"s-{n:08x}", name, ("Aunt May",)) for n, (i, name) in enumerate(NAMES.items())]
    )
    for clip in clips:
        outside, whole = public_id(made.secret, "c", clip.id), public_id(made.secret, "v", clip.source)
        shown = SafeClip(replace(clip, id=outside, source=whole))
        labels.record_pushed(made.labels, [Pushed.of(shown, nfbl, "nfbl_timeline", None)])
        labels.update(made.labels, "project-1", {f"{outside}/1": replace(event(0, 400), clip=outside, source=whole)})
        labels.update(made.labels, "project-1", {}, gone=[f"{outside}/1"])
        labels.update(made.labels, "project-1", {f"{outside}/2": replace(event(0, 900), clip=outside, source=whole)})
        held = held_by({"id": 1, "data": {"clip": outside}, "annotations": []}, made.secret)
        Log(made.labels / "raw" / "project-1.jsonl", "v").note({outside: held}, {})
        for stage in ("MaskVideo", "OfOldSettings"):
            home = made.store / stage / f"key-{clip.source}"
            home.mkdir(parents=True)
            (home / "entry.json").write_text(json.dumps({"source": clip.source, "clip": clip.id}))
            (home / "masked.mp4").write_bytes(b"...")
        made.released.mkdir(parents=True, exist_ok=True)
        (made.released / f"{outside}.mp4").write_bytes(b"...")
        corrections.add(made.root, clip.source, 0, 100, [0, 0, 0.5, 0.5])
        corrections.withhold(made.root, clip)
        speakers.write(made.root, clip.source, {"count": 2})
    made.write_report("run.json", [c.id for c in clips])
    return made


def everything(project: Project) -> str:
    return "\n".join(f"{p.relative_to(project.root)} {p.read_bytes()!r}" for p in sorted(project.root.rglob("*")) if p.is_file())


@pytest.mark.parametrize("who", ["zebulon quixote", "s-00000000", "aaaaaaaaaaaa"])
def test_one_goes_and_the_other_stays(project: Project, who: str) -> None:
    gone = forget(project, who)
    assert (gone.sources, gone.clips, gone.labels, gone.left) == (1, 1, 2, ())
    assert [Path(p).name for p in gone.footage] == ["aaaaaaaaaaaa.mp4"], "what lies elsewhere is not ours to delete"
    assert Path(gone.footage[0]).exists()
    text = everything(project)
    for trace in ("aaaaaaaaaaaa", "Zebulon", "s-00000000", public_id(project.secret, "v", "aaaaaaaaaaaa")):
        assert trace not in text
    assert [s.source for s in project.sources()] == ["bbbbbbbbbbbb"]
    assert [p.name for p in read_subjects(project.private / "subjects.csv")] == ["Perpetua Birdwhistle"]
    assert len(labels.in_force(project.labels)) == 1
    assert len(labels.read_ledger(project.labels)) == 1
    assert len(corrections.boxes(project.root)) == len(corrections.withheld(project.root)) == 1
    assert list(speakers.said(project.root)) == ["bbbbbbbbbbbb"]
    assert len(list(project.store.glob("*/*/entry.json"))) == 2
    assert len(list(project.released.iterdir())) == 1


def test_the_tombstone_says_how_much_and_not_whose(project: Project) -> None:
    forget(project, "Zebulon Quixote")
    (line,) = (project.root / withdrawn.WITHDRAWN).read_text().splitlines()
    row = json.loads(line)
    assert {k: row[k] for k in ("sources", "clips", "labels")} == {"sources": 1, "clips": 1, "labels": 2}
    assert set(row) == {"at", "sources", "clips", "labels", "marks"}


def test_withdrawn_footage_is_not_taken_in_again(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = [s for s in project.sources() if s.source == "aaaaaaaaaaaa"]
    forget(project, "Zebulon Quixote")

    def again(rows: object, *, subjects: Path, **more: object) -> tuple[list[Clip], list[object]]:
        write_subjects(subjects, [Person(source.source, "s-00000000", "Zebulon Quixote", ())])
        return [source], []

    monkeypatch.setattr("deemo_data.ingest.ingest", again)
    taken, missing = build.take_in(project, str(tmp_path / "footage"), "yes")
    assert taken == []
    assert "was withdrawn on" in missing[0].reason
    assert "Zebulon" not in everything(project)
    assert "aaaaaaaaaaaa" not in (project.root / "sources.jsonl").read_text()


def test_nobody_is_called_so(project: Project) -> None:
    before = everything(project)
    with pytest.raises(ConfigError) as e:
        forget(project, "Nobody")
    assert "s-00000000, s-00000001" in e.value.advice
    assert everything(project) == before


def test_a_server_that_does_not_answer_leaves_all_as_it_was(project: Project) -> None:
    said = {"url": "http://127.0.0.1:9", "token": "0" * 40, "projects": {"nfbl_timeline": 1}}
    (project.private / annotate.ADDRESS).write_text(json.dumps(said))
    before = everything(project)
    with pytest.raises(LabelError, match="no Label Studio answers"):
        forget(project, "Zebulon Quixote")
    assert everything(project) == before
    assert forget(project, "Zebulon Quixote", label_studio=False).left == ()


def test_what_the_search_still_finds_is_told(project: Project) -> None:
    (project.root / "notes.txt").write_text("call Zebulon Quixote on Monday")
    assert forget(project, "Zebulon Quixote").left == ("notes.txt",)
