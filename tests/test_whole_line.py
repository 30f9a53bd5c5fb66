"""The whole line on real footage with real models: what comes out, what does not, and what survives a killed run."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from deemo_data import pseudonyms
from deemo_data.clip import Clip, read_clips, write_clips
from deemo_data.errors import NotReleasable
from deemo_data.files import File
from deemo_data.media.ffmpeg import find_ffmpeg
from deemo_data.pipeline.entry import format_entry
from deemo_data.pipeline.order import STAGE_ORDER
from deemo_data.pipeline.run import Watcher
from deemo_data.project.clips import read_project_clips
from deemo_data.project.project import Project
from deemo_data.workflow import export, ingest, segment
from deemo_data.workflow import run as workflow_run
from tests.makers.commands import process
from tests.makers.runs import (
    CONSENT,
    FOLDER,
    NAMES,
    SUBJECTS,
    TITLE,
    Made,
    csv,  # noqa: F401
    members,
    same_lists,
    start,
    stored,
)

STAGES = [s.__name__ for s in STAGE_ORDER]


@pytest.fixture(scope="module")
def made(csv: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Nobody changes this one: see `twin`."""
    root = tmp_path_factory.mktemp("made") / "project"
    began = time.monotonic()
    said = process("build", root, csv)
    took = time.monotonic() - began
    assert said.status == 0, said.err
    return Made(root, csv, took, said.out)


@pytest.fixture
def twin(made: Made, tmp_path: Path) -> Project:
    """A copy of `made`, to be changed. Its lists name the files of its own store."""
    shutil.copytree(made.root, tmp_path / "twin")
    project = Project.open(tmp_path / "twin")
    workflow_run.run_project(project, workers=0)
    return project


def fresh(made: Made, root: Path) -> Project:
    """A project with the sources, clips and secret of `made` that no stage has seen."""
    project = Project.make(root, "hardened")
    shutil.copyfile(made.root / "private" / "secret.key", project.private_dir / "secret.key")
    shutil.copyfile(made.root / "private" / "subjects.csv", project.private_dir / "subjects.csv")
    shutil.copyfile(made.root / "sources.jsonl", project.root / "sources.jsonl")
    shutil.copytree(made.project.store_dir / "Segment", project.store_dir / "Segment")
    segment.segment_sources(project)
    return project


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of every file but the locks, whose time is when they were last held."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in ("lock", ".lock")]
    return {p.relative_to(folder).as_posix(): (File.of(p).sha256, p.stat().st_mtime_ns) for p in files}


def entries(project: Project) -> dict[str, set[str]]:
    """The keys in the store, by stage."""
    return {s: {p.name for p in (project.store_dir / s).glob("[!.]*")} for s in STAGES}


def rows(dataset: Path, config: str) -> dict[str, dict[str, Any]]:
    """By clip: what load_dataset gives, class numbers as names, the video as {"bytes", "path"}; `split` added."""
    from datasets import ClassLabel, Video, load_dataset

    found = {}
    for split, table in load_dataset(str(dataset), config, cache_dir=str(dataset.parents[1] / "cache")).items():
        table = table.cast_column("video", Video(decode=False))
        for row in table:
            for name, feature in table.features.items():
                if isinstance(feature, ClassLabel):
                    row[name] = feature.int2str(row[name])
            for event in row.get("events", ()):
                event["label"] = table.features["events"].feature["label"].int2str(event["label"])
            found[row["clip_id"]] = row | {"split": split}
    return found


def public(project: Project) -> dict[str, str]:
    """Private -> public clip id."""
    from deemo_data.pseudonyms import derive_public_id

    return {c.id: derive_public_id(project.secret, "c", c.id) for c in read_project_clips(project)}


def by_name(project: Project, part: str) -> Clip:
    (clip,) = [c for c in read_project_clips(project) if part in c.path("source").name]
    return clip


# ── what comes out ───────────────────────────────────────────────────────────────────────────────────────────


def test_two_clips_become_a_dataset_that_loads(made: Made) -> None:
    found = rows(made.project.dataset_dir, "nfbl")
    assert sorted((r["num_frames"], r["fps"], r["width"], r["height"]) for r in found.values()) == [
        (27, 30.0, 640, 480), (75, 25.0, 360, 288)
    ]  # fmt: skip
    assert {r["split"] for r in found.values()} == {"train", "test"}, "two subjects: one each"
    for clip_id, row in found.items():
        assert row["annotation"] == "none"
        assert row["events"] == []
        assert row["consent"] == {"statement": CONSENT, "asserted": False}
        assert not row["subject_assumed"]
        assert json.loads(row["leaks"])["passed"] is True
        assert (row["body_frames"], row["body_points"]) == (row["num_frames"], 64)
        assert len(row["body"]) == row["body_frames"] * row["body_people"] * 64 * 3
        assert sum(c > 0.5 for c in row["body_confidence"]) >= row["num_frames"], "somebody was seen"
        video = Path(row["video"]["path"])
        assert video.name == f"{clip_id}.mp4"
        assert (Fraction(row["fps_num"], row["fps_den"]), row["num_frames"]) == frames_of(video)
    assert {r["licence"] for r in found.values()} == {"CC BY 4.0", None}
    assert process("validate", made.project.dataset_dir).status == 0


def frames_of(video: Path) -> tuple[Fraction, int]:
    import av

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        return rate, sum(1 for _ in container.decode(stream))


def test_there_are_no_more_clips_in_out_than_in_the_dataset(made: Made) -> None:
    names = {f"{p}{end}" for p in public(made.project).values() for end in (".mp4", ".body.parquet", ".prosody.parquet")}
    assert {p.name for p in made.project.released_dir.iterdir()} == names
    assert {p.name for p in made.project.dataset_dir.rglob("*.mp4")} == {n for n in names if n.endswith(".mp4")}


def test_a_second_build_changes_no_file(made: Made) -> None:
    before = state(made.root)
    said = process("build", made.root, made.csv)
    assert said.status == 0, said.err
    after = state(made.root)
    assert {n for n in {*before, *after} if before.get(n) != after.get(n)} == set()
    assert "0 files changed" in said.out


def test_a_project_that_was_moved_is_the_same_project(made: Made, tmp_path: Path) -> None:
    """Without a run in between, it says what to type; with one, nothing is made anew."""
    shutil.copytree(made.root, tmp_path / "moved")
    shutil.move(tmp_path / "moved", tmp_path / "elsewhere")
    said = process("run", tmp_path / "elsewhere")
    assert said.status == 0, said.err
    assert stored(Project.open(tmp_path / "elsewhere")) == stored(made.project)
    said = process("export", tmp_path / "elsewhere")
    assert said.status == 0, said.err
    assert "0 files changed" in said.out


def test_an_export_whose_store_is_gone_says_run(twin: Project) -> None:
    shutil.rmtree(twin.store_dir / "Assemble")
    shutil.rmtree(twin.released_dir)
    said = process("export", twin.root)
    assert said.status in (1, 2)
    assert "deemo run" in said.err


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────


def region(start: int, end: int, label: str, number: int) -> dict[str, Any]:
    """A timeline region as Label Studio exports it: frames from 1, the last one included."""
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}
    return {"id": f"r{number}", "from_name": "nfbl", "to_name": "video", "type": "timelinelabels", "value": value}


def test_one_command_takes_labels_from_a_file_too(twin: Project, csv: Path, tmp_path: Path) -> None:
    """Footage and somebody's Label Studio export in, both configs out."""
    from datasets import load_dataset

    said = {"emotion": {"choices": ["proud"]}, "clue_video": {"text": ["The hands meet."]}, "reasoning": {"text": ["So: proud."]}}
    result = [
        region(1, 9, "Rubbing or holding hands", 1),
        *(
            {
                "id": k,
                "from_name": k,
                "to_name": "video",
                "type": {"text": "textarea"}.get(next(iter(v)), next(iter(v))),
                "value": v,
            }
            for k, v in said.items()
        ),
    ]
    annotation = {"id": 5, "completed_by": 3, "result": result, "was_cancelled": False, "updated_at": "2026-11-24T09:00:00Z"}
    (tmp_path / "said.json").write_text(json.dumps([{"id": 7, "data": {"video": "x.mp4"}, "annotations": [annotation]}]))
    (tmp_path / "match.csv").write_text("name,source,start_ms,end_ms\n7,interview with Marguerite.mkv,100,1000\n")
    refused = process("build", twin.root, csv, "--match", tmp_path / "match.csv")
    assert (refused.status, "--labels" in refused.err) == (2, True)
    made = process("build", twin.root, csv, "--labels", tmp_path / "said.json", "--match", tmp_path / "match.csv",
                   "--vocabulary", "nfbl")  # fmt: skip
    assert made.status == 0, made.err
    load = {c: load_dataset(str(twin.dataset_dir), c, cache_dir=str(tmp_path / "cache")) for c in ("nfbl", "mer")}
    records = [r for split in load["mer"].values() for r in split.remove_columns("video")]
    assert sorted((r["task"], r["response"]) for r in records) == [(0, "proud"), (1, "So: proud.")]
    assert {r["clues"]["video"] for r in records} == {"The hands meet."}
    events = [e for split in load["nfbl"].values() for r in split.remove_columns("video") for e in r["events"]]
    assert [(e["start_frame"], e["end_frame"]) for e in events] == [(0, 9)]


def exported(tasks: list[dict[str, Any]], results: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Label Studio's export of the tasks that we pushed, with one annotation each."""
    return [
        {"id": n, "project": 9, "created_at": "2026-11-22T08:16:24Z", "data": task["data"], "drafts": [], "predictions": [],
         "annotations": [{"id": 100 + n, "unique_id": f"u{n}", "completed_by": {"id": 3, "email": "Ozymandias@example.org"},
                          "was_cancelled": False, "result": results[task["data"]["clip"]]}]}
        for n, task in enumerate(tasks, 1)
    ]  # fmt: skip


def test_labels_go_out_and_come_back_to_the_frame(twin: Project, tmp_path: Path) -> None:
    said = process("push", twin.root, "--to-file", tmp_path / "tasks.json")
    assert said.status == 0, said.err
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    signer, talker = (public(twin)[by_name(twin, n).id] for n in ("Marguerite", "Perpetua"))
    assert {t["data"]["clip"]: t["data"]["num_frames"] for t in tasks} == {signer: 27, talker: 75}
    feels = {"id": "e", "from_name": "emotion", "to_name": "video", "type": "choices", "value": {"choices": ["happy"]}}
    results = {
        signer: [region(5, 20, "Folding arms", 1), region(27, 27, "Moving torso", 2)],
        talker: [region(1, 10, "Folding arms", 1), region(41, 50, "Moving torso", 2), region(25, 25, "Head up", 3), feels],
    }
    (tmp_path / "export.json").write_text(json.dumps(exported(tasks, results)))
    said = process("pull", twin.root, "--from-file", tmp_path / "export.json")
    assert said.status == 0, said.err
    said = process("export", twin.root)
    assert said.status == 0, said.err
    found = rows(twin.dataset_dir, "nfbl")
    spans = {i: [(e["start_frame"], e["end_frame"], e["label"]) for e in r["events"]] for i, r in found.items()}
    assert spans[signer] == [(4, 20, "Folding arms"), (26, 27, "Moving torso")]
    assert spans[talker] == [(0, 10, "Folding arms"), (24, 25, "Head up"), (40, 50, "Moving torso")]
    assert [(e["start_ms"], e["end_ms"]) for e in found[talker]["events"]] == [(0, 400), (960, 1000), (1600, 2000)]
    assert [(e["start_ms"], e["end_ms"]) for e in found[signer]["events"]] == [(133, 667), (867, 900)]
    assert {r["annotation"] for r in found.values()} == {"single"}
    assert not any(e["truncated"] for r in found.values() for e in r["events"])
    mer = rows(twin.dataset_dir, "mer")
    assert {i: (r["emotion"], r["task"], r["split"]) for i, r in mer.items()} == {
        talker: ("happy", "recognition", found[talker]["split"])
    }
    assert Path(mer[talker]["video"]["path"]).samefile(found[talker]["video"]["path"])
    assert process("validate", twin.dataset_dir).status == 0
    assert secrets_in(twin, {"Ozymandias@example.org", "example.org"}) == []
    before = state(twin.root)
    assert process("pull", twin.root, "--from-file", tmp_path / "export.json").status == 0
    assert process("export", twin.root).status == 0
    assert state(twin.root) == before, "the same labels again change nothing"


# ── what stays here ──────────────────────────────────────────────────────────────────────────────────────────


def released_bytes(project: Project) -> Iterator[tuple[str, bytes]]:
    """Every file that may leave as it lies there, and every table once more with its values and its schema in the open."""
    import pyarrow.parquet as pq

    for path in sorted([*project.dataset_dir.rglob("*"), *project.released_dir.rglob("*")]):
        name = path.relative_to(project.out_dir).as_posix()
        yield name, name.encode()
        if path.is_file():
            yield name, path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            texts = table.drop_columns(
                [c for c in ("body", "body_confidence", "points", "confidence") if c in table.column_names]
            )
            yield name, json.dumps(texts.to_pylist(), default=str, ensure_ascii=False).encode()
            yield name, repr((table.schema.metadata, pq.read_metadata(path))).encode()


def secrets_in(project: Project, words: set[str]) -> list[tuple[str, str]]:
    """(word, file) for each word that occurs, in whatever case."""
    return [(w, name) for name, data in released_bytes(project) for w in words if w.lower().encode() in data.lower()]


def test_nothing_private_is_in_any_released_byte(made: Made) -> None:
    project = made.project
    private = {*SUBJECTS, *NAMES, FOLDER, TITLE, "51.4778", *(w for s in SUBJECTS for w in s.split())}
    private |= {str(made.root), str(made.csv.parent), *made.csv.parts[1:3], "sources.csv"} - {"tmp"}
    private |= {project.secret.hex(), pseudonyms.derive_key(project.secret, "AnonymiseVoice")}
    for clip in read_project_clips(project):
        source = clip.path("source")
        private |= {clip.id, clip.source, clip.files["source"].sha256, source.name, source.stem}
        private |= {f.sha256 for n, f in clip.files.items() if n not in ("safe", "public_body", "prosody")}
    assert secrets_in(project, private) == []
    assert secrets_in(project, {CONSENT}), "what is there is found"


def test_released_videos_carry_no_tags(made: Made) -> None:
    for video in made.project.released_dir.glob("*.mp4"):
        seen = subprocess.run([find_ffmpeg(), "-hide_banner", "-i", str(video)], capture_output=True, text=True).stderr
        tags = dict(re.findall(r"^\s+(\w+)\s+: (.*)$", seen, re.MULTILINE))
        assert set(tags) <= {"major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id"}, tags
        assert tags["handler_name"] in ("VideoHandler", "SoundHandler")
        assert re.findall(r"Stream #0:\d\S*: (\w+): (\w+)", seen) == [("Video", "h264"), ("Audio", "aac")]
        assert "Chapter" not in seen
        assert b"x264" not in video.read_bytes()


def test_private_files_are_for_their_owner_only(made: Made) -> None:
    assert made.project.private_dir.stat().st_mode & 0o777 == 0o700
    assert (made.project.private_dir / "secret.key").stat().st_mode & 0o777 == 0o600
    assert (made.project.private_dir / "subjects.csv").stat().st_mode & 0o777 == 0o600
    assert (made.root / ".gitignore").read_text() == "*\n"


def revoke(project: Project, source: str) -> None:
    """As forgetting will do it: the source's consent is gone."""
    sources = [s.with_results({}, {"consent": None}) if s.source == source else s for s in project.read_sources()]
    write_clips(sources, project.root / "sources.jsonl")


def refuse(project: Project, clip_id: str) -> None:
    """As if the leak check had seen a face: what it stored says so (and no further attempt is configured)."""
    config = (project.root / "deemo.toml").read_text()
    (project.root / "deemo.toml").write_text(config[: config.index("# Clips that the leak check refuses")])
    [clip] = [c for c in read_clips(project.root / "clips.jsonl") if c.id == clip_id]
    leaks = clip.path("leaks")
    entry = json.loads((leaks.parent / "entry.json").read_text())
    seen = json.dumps({"looked_at": 27, "frames": [3, 4], "hits": []})
    for path in (leaks, leaks.parent / "entry.json"):
        path.chmod(0o600)
    leaks.write_text(seen)
    entry["facts"]["leaks_passed"] = False
    entry["files"]["leaks"] |= {"bytes": len(seen), "sha256": hashlib.sha256(seen.encode()).hexdigest()}
    (leaks.parent / "entry.json").write_text(format_entry(entry))


def test_a_run_that_finds_a_leak_takes_the_clip_back_at_once(twin: Project) -> None:
    gone = by_name(twin, "Marguerite")
    assert process("export", twin.root).status == 0
    refuse(twin, gone.id)
    assert process("run", twin.root).status == 1
    assert [p.name for p in twin.out_dir.rglob("*") if public(twin)[gone.id] in p.name] == []


def test_an_export_does_not_give_out_what_older_settings_made(twin: Project) -> None:
    config = (twin.root / "deemo.toml").read_text()
    (twin.root / "deemo.toml").write_text(config.replace("grow = 1.35", "grow = 1.75"))
    said = process("export", twin.root)
    assert said.status == 2
    assert "deemo run" in said.err
    assert "0 ready to be released" in process("status", twin.root).out


def test_what_was_said_of_a_source_stays_until_something_else_is_said(twin: Project) -> None:
    before = {s.source: s.facts for s in twin.read_sources()}
    people = (twin.private_dir / "subjects.csv").read_text()
    footage = sorted({str(s.path("source").parent) for s in twin.read_sources()})
    for folder in footage:
        assert process("ingest", twin.root, folder).status == 0
    assert {s.source: s.facts for s in twin.read_sources()} == before
    assert (twin.private_dir / "subjects.csv").read_text() == people


def test_a_withdrawal_holds_at_once_and_against_a_statement_for_all(twin: Project, tmp_path: Path) -> None:
    gone = by_name(twin, "Marguerite")
    assert process("export", twin.root).status == 0
    table = tmp_path / "withdrawn.csv"
    table.write_text(f"uri,consent\n{gone.path('source')},withdrawn\n")
    assert process("ingest", twin.root, table).status == 0
    assert [p.name for p in twin.out_dir.rglob("*") if public(twin)[gone.id] in p.name] == []
    assert process("ingest", twin.root, gone.path("source"), "--consent", "everybody agreed").status == 0
    assert process("export", twin.root).status == 1
    assert [p.name for p in twin.out_dir.rglob("*") if public(twin)[gone.id] in p.name] == []


@pytest.mark.parametrize("how", ["consent", "leak"])
def test_what_may_no_longer_go_is_taken_back(twin: Project, how: str) -> None:
    gone, stays = by_name(twin, "Marguerite"), by_name(twin, "Perpetua")
    if how == "consent":
        revoke(twin, gone.source)
    else:
        refuse(twin, gone.id)
    said = process("export", twin.root)
    assert said.status == 1
    assert said.line_with(gone.id)
    assert set(rows(twin.dataset_dir, "nfbl")) == {public(twin)[stays.id]}
    left = [p.name for p in twin.out_dir.rglob("*") if public(twin)[gone.id] in p.name]
    assert left == []
    assert not secrets_in(twin, {public(twin)[gone.id]})
    assert process("validate", twin.dataset_dir).status == 0


def test_when_the_last_clip_may_no_longer_go_none_stays(twin: Project) -> None:
    for clip in read_project_clips(twin):
        revoke(twin, clip.source)
    said = process("export", twin.root)
    assert said.status == 2
    assert "consent" in said.err
    left = [
        p.relative_to(twin.out_dir).as_posix()
        for p in (*twin.released_dir.rglob("*"), *twin.dataset_dir.rglob("*"))
        if p.is_file()
    ]
    assert [n for n in left if any(i in n for i in public(twin).values())] == []
    assert [n for n in left if n.endswith(".parquet")] == []


def test_a_source_taken_out_of_the_list_takes_its_clips_along(twin: Project) -> None:
    gone = by_name(twin, "Marguerite")
    write_clips([s for s in twin.read_sources() if s.source != gone.source], twin.root / "sources.jsonl")
    process("export", twin.root)
    assert [p.name for p in twin.out_dir.rglob("*") if public(twin).get(gone.id, "c-none") in p.name] == []
    assert len(rows(twin.dataset_dir, "nfbl")) == 1


# ── what is done again ───────────────────────────────────────────────────────────────────────────────────────


def test_one_parameter_redoes_only_what_depends_on_it(twin: Project) -> None:
    before = entries(twin)
    config = twin.root / "deemo.toml"
    config.write_text(config.read_text().replace("grow = 1.35", "grow = 1.5"))
    said = process("run", twin.root)
    assert said.status == 0, said.err
    after = entries(twin)
    new = {stage: len(after[stage] - before[stage]) for stage in STAGES}
    assert new == {s: 2 if s in ("MaskVideo", "Assemble", "CheckLeaks") else 0 for s in STAGES}
    assert all(before[s] <= after[s] for s in STAGES), "what was made before is still there"
    config.write_text(config.read_text().replace("grow = 1.5\n", "grow = 1.35\n").replace("grow = 1.5 ", "grow = 1.35 "))
    workflow_run.run_project(twin, workers=0)
    assert entries(twin) == after, "and back again costs nothing"


@pytest.fixture
def short(weights: Path, media: Path, tmp_path: Path) -> Project:
    """One clip of half a second that no stage has seen."""
    (tmp_path / "s.csv").write_text(f"uri,start_ms,end_ms,consent\n{media / 'video' / 'asl_eat.mkv'},0,500,yes\n")
    project = Project.make(tmp_path / "short", "hardened")
    ingest.ingest_sources(project, str(tmp_path / "s.csv"), None)
    segment.segment_sources(project)
    return project


def test_until_and_only(short: Project) -> None:
    def made_by(**how: str) -> dict[str, int]:
        before = entries(short)
        done, missing = workflow_run.run_project(short, workers=0, **how)  # type: ignore[arg-type]
        assert (len(done), missing) == (1, [])
        return {s: len(n) for s in STAGES if (n := entries(short)[s] - before[s])}

    assert made_by(until="find_faces") == {"TrackBody": 1, "FindFaces": 1}
    too_soon = process("run", short.root, "--only", "assemble")
    assert too_soon.status == 1
    assert "has not been made" in too_soon.line_with(read_project_clips(short)[0].id)
    between = STAGES[STAGES.index("FindFaces") + 1 : STAGES.index("AnonymiseVoice")]
    assert made_by(until="redact") == dict.fromkeys(between, 1)
    assert made_by(only="anonymise_voice") == {"AnonymiseVoice": 1}
    assert made_by(only="mask_video") == {"MaskVideo": 1}
    assert made_by(until="mask_video") == {}
    with pytest.raises(NotReleasable, match="deemo run"):
        export.export_project(short)
    assert process("run", short.root, "--until", "publish_body").status == 0
    assert made_by() == {"Propose": 1, "Assemble": 1, "CheckLeaks": 1}
    assert export.export_project(short)[0].clips == 1


def test_an_interrupted_until_does_not_unmake(twin: Project) -> None:
    """Running a part of the line again leaves the finished clips finished."""
    assert process("run", twin.root, "--until", "track_body").status == 0
    assert all(c.facts.get("leaks_passed") is True for c in read_project_clips(twin))


def test_what_is_taken_in_during_a_run_is_not_lost(twin: Project, media: Path) -> None:
    """A run may last a night; meanwhile somebody adds footage."""
    done = False

    def meanwhile(*_: object) -> None:
        nonlocal done
        if not done:
            done = True
            ingest.ingest_sources(twin, str(media / "video" / "asl_want.mkv"), "yes")
            segment.segment_sources(twin)

    workflow_run.run_project(twin, workers=0, watcher=Watcher(on_stage=meanwhile))
    assert len(twin.read_sources()) == 3
    assert len(read_project_clips(twin)) == 3


def test_a_source_that_cannot_be_cut_today_keeps_its_clips(twin: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drive is off, the settings are new: the clips of that source are not forgotten."""
    before = {c.id for c in read_project_clips(twin)}
    config = twin.root / "deemo.toml"
    config.write_text(config.read_text().replace("min_ms = 5000", "min_ms = 1500"))
    by_name(twin, "Perpetua").path("source").touch()
    monkeypatch.setattr("deemo_data.stages.detect.segment.find_shot_cuts", lost)
    _, missing = segment.segment_sources(Project.open(twin.root), workers=0)
    assert [m.what for m in missing] == ["Perpetua_home.mpg"]
    assert {c.id for c in read_project_clips(twin)} == before


def lost(*_: object) -> None:
    raise OSError(5, "Input/output error", "the drive")


def test_nothing_may_go_without_consent_however_it_is_asked(twin: Project) -> None:
    for clip in read_project_clips(twin):
        revoke(twin, clip.source)
    with pytest.raises(NotReleasable, match="consent"):
        export.export_project(Project.open(twin.root), allow_proposed=True)


def kill_after(seconds: float, *arguments: object) -> bool:
    """Whether it was still at work when the whole group got SIGKILL."""
    run = start(*arguments)
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        return True
    return False


def check_whole(project: Project) -> None:
    """Whatever stands under a final name is all there."""
    import pyarrow.parquet as pq

    for home in project.store_dir.glob("[!.]*/[!.]*"):
        said = json.loads((home / "entry.json").read_text())
        assert {p.name for p in home.iterdir()} == {"entry.json", *(f["name"] for f in said["files"].values())}
        for file in said["files"].values():
            assert File.of(home / file["name"]).sha256 == file["sha256"]
    for name in ("sources.jsonl", "clips.jsonl"):
        if (project.root / name).exists():
            assert read_clips(project.root / name)
    for path in [p for p in project.out_dir.rglob("[!.]*") if p.is_file()]:
        if path.suffix == ".mp4":
            assert frames_of(path)[1] in (27, 75)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".parquet":
            pq.read_table(path)


def killed_again_and_again(project: Project, moments: list[float], *arguments: object) -> int:
    kills = 0
    for moment in moments:
        kills += kill_after(moment, *arguments)
        check_whole(project)
    return kills


def test_a_killed_run_goes_on_to_the_same_bytes(made: Made, tmp_path: Path) -> None:
    project = fresh(made, tmp_path / "killed")
    dice = random.Random(3)
    moments = [dice.uniform(0.2, 0.4) * made.seconds]  # a slow test has more of them
    assert killed_again_and_again(project, moments, "run", project.root, "--workers", "2") > 0
    said = process("run", project.root)
    assert said.status == 0, said.err
    check_whole(project)
    assert stored(project) == stored(made.project)
    assert same_lists(project, made.project)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_at_any_moment_of_the_whole_line(made: Made, tmp_path: Path) -> None:
    """From an empty folder to the dataset, killed eight times on the way, once more from the start of each quarter."""
    project = Project.make(tmp_path / "killed", "hardened")
    shutil.copyfile(made.root / "private" / "secret.key", project.private_dir / "secret.key")
    dice = random.Random(7)
    moments = [dice.uniform(0.05, 0.7) * made.seconds for _ in range(8)]
    kills = killed_again_and_again(project, moments, "build", project.root, made.csv)
    assert kills >= 4, "they have to hit a run at work"
    said = process("build", project.root, made.csv)
    assert said.status == 0, said.err
    check_whole(project)
    assert stored(project) == stored(made.project)
    assert same_lists(project, made.project)
    assert {n: d for n, (d, _) in state(project.dataset_dir).items()} == {
        n: d for n, (d, _) in state(made.project.dataset_dir).items()
    }
    assert process("validate", project.dataset_dir).status == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_during_export(made: Made, tmp_path: Path) -> None:
    """The last step, killed at twelve moments of its second: what is there is whole, and one more makes it right."""
    shutil.copytree(made.root, tmp_path / "killed")
    project = Project.open(tmp_path / "killed")
    workflow_run.run_project(project, workers=0)
    dice = random.Random(5)
    for _ in range(12):
        shutil.rmtree(project.dataset_dir, ignore_errors=True)
        shutil.rmtree(project.released_dir, ignore_errors=True)
        kill_after(dice.uniform(0.3, 1.5), "export", project.root)
        check_whole(project)
    assert process("export", project.root).status == 0
    assert {n: d for n, (d, _) in state(project.dataset_dir).items()} == {
        n: d for n, (d, _) in state(made.project.dataset_dir).items()
    }
    assert {p.name for p in project.released_dir.iterdir()} == {p.name for p in made.project.released_dir.iterdir()}


def at_once(count: int, *arguments: object) -> list[int]:
    running = [start(*arguments) for _ in range(count)]
    return [r.wait(120) for r in running]


@pytest.mark.slow
def test_two_runs_at_once(made: Made, tmp_path: Path) -> None:
    project = fresh(made, tmp_path / "both")
    assert at_once(2, "run", project.root, "--workers", "1") == [0, 0]
    check_whole(project)
    assert stored(project) == stored(made.project)
    assert same_lists(project, made.project)
    left = [p for p in project.store_dir.rglob(".*") if p.name != ".lock"]
    assert left == [], "who came second tidied up"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_four_builds_at_once_of_a_folder_that_is_not_there_yet(csv: Path, weights: Path, tmp_path: Path) -> None:
    """They even have to agree on the secret."""
    assert at_once(4, "build", tmp_path / "all", csv, "--workers", "1") == [0] * 4
    project = Project.open(tmp_path / "all")
    check_whole(project)
    assert {s: len(n) for s, n in entries(project).items()} == dict.fromkeys(STAGES, 2)
    assert len(rows(project.dataset_dir, "nfbl")) == 2


def test_two_that_begin_a_project_agree_on_its_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes between the first one's look and its write: neither fails, and both know the same secret."""
    real: Callable[..., int] = os.open

    def late(path: Any, flags: int, *mode: Any) -> int:
        if str(path).endswith("secret.key") and flags & os.O_EXCL:
            monkeypatch.setattr("deemo_data.project.project.os.open", real)
            Project.make(tmp_path / "p", "hardened")
        return real(path, flags, *mode)

    monkeypatch.setattr("deemo_data.project.project.os.open", late)
    first = Project.make(tmp_path / "p", "hardened")
    assert len(first.secret) == 32
    assert Project.open(tmp_path / "p").secret == first.secret


def test_no_worker_is_left_when_a_run_is_killed(made: Made, tmp_path: Path) -> None:
    """Only the run itself is killed, not its group, as the kernel does when memory is short."""
    project = fresh(made, tmp_path / "alone")
    run = start("run", project.root, "--workers", "2")
    until = time.monotonic() + 30
    while not list(project.store_dir.glob("TrackBody/.*.*")):
        assert time.monotonic() < until
        time.sleep(0.02)
    run.kill()
    run.wait()
    until = time.monotonic() + 30
    while members(run.pid):
        assert time.monotonic() < until, f"still there: {members(run.pid)}"
        time.sleep(0.1)
    check_whole(project)


# ── odd places ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_project_inside_its_footage_does_not_take_itself_in(made: Made, tmp_path: Path) -> None:
    """`make build-dataset SOURCES=.` with the project below: the second time, its own clips lie there too."""
    shutil.copytree(made.csv.parent, tmp_path / "footage")
    shutil.copytree(made.root, tmp_path / "footage" / "project")
    project = Project.open(tmp_path / "footage" / "project")
    taken, _ = ingest.ingest_sources(project, str(tmp_path / "footage"), None)
    assert {s.path("source").parent for s in taken} == {tmp_path / "footage"}
    assert len(project.read_sources()) == 2


def test_footage_that_moved_is_the_same_source(twin: Project, made: Made, tmp_path: Path) -> None:
    before, ids = stored(twin), {c.id for c in read_project_clips(twin)}
    shutil.copytree(made.csv.parent, tmp_path / "moved")
    taken, missing = ingest.ingest_sources(twin, str(tmp_path / "moved" / made.csv.name), None)
    segment.segment_sources(twin)
    workflow_run.run_project(twin, workers=0)
    assert (len(taken), missing) == (2, [])
    assert {c.id for c in read_project_clips(twin)} == ids
    assert {c.path("source").parent for c in read_project_clips(twin)} == {tmp_path / "moved"}
    assert stored(twin) == before


@pytest.mark.slow
def test_names_with_every_kind_of_character(weights: Path, media: Path, tmp_path: Path) -> None:
    footage = tmp_path / "Aufnahmen: 100 % «fertig» #1 'x' \"y\" [z] %03d é\u0301 日本"
    footage.mkdir()
    shutil.copyfile(media / "video" / "asl_eat.mkv", footage / "-i, {0} $HOME ?.mkv")
    (footage / "s.csv").write_text('uri,start_ms,end_ms,consent\n"-i, {0} $HOME ?.mkv",0,300,yes\n')
    said = process("build", footage / "pro: ject %d", footage / "s.csv", "--workers", "0")
    assert said.status == 0, said.err
    dataset = footage / "pro: ject %d" / "out" / "dataset"
    assert ", 0 warnings" not in process("validate", dataset).out, "it found the table: one subject is assumed"
    shutil.copytree(dataset, tmp_path / "plain" / "out" / "dataset")  # datasets itself takes [z] for a pattern
    assert len(rows(tmp_path / "plain" / "out" / "dataset", "nfbl")) == 1
