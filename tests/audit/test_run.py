"""The audit: what it attacks, what its report may hold, and what the figures in it are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.audit import face, report, sample, utility, voice
from deemo_data.audit import run as audit_run
from deemo_data.audit import words as audit_words
from deemo_data.audit.attacks.scores import Score
from deemo_data.audit.body import split_in_halves
from deemo_data.audit.material import ChannelResult, Material, ResultLine
from deemo_data.audit.words import attack_metadata, share_of_names_found
from deemo_data.clip import Clip
from deemo_data.errors import ConfigError, ModelError, ProjectError
from deemo_data.files import File
from deemo_data.media import sound
from deemo_data.media.ffmpeg import find_ffmpeg, run_ffmpeg
from deemo_data.pipeline.run import Failure
from deemo_data.project import clips as project_clips
from deemo_data.project.clips import read_project_clips
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from deemo_data.reports import privacy, privacy_verdict
from deemo_data.reports.privacy_verdict import UNPROTECTED
from deemo_data.tracks import body
from deemo_data.tracks.faces import FACE_COLUMNS, write_faces
from deemo_data.workflow import export, ingest, run, segment
from tests.makers.audits import GRID, NAME, channels, project  # noqa: F401


class Page(HTMLParser):
    """What a page has: tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "line", "circle", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data: str) -> None:
        self.text += data


# ── the report ───────────────────────────────────────────────────────────────────────────────────────────────


def test_both_reports_say_the_same(project: Project, channels: dict[str, Any]) -> None:
    said, missing = audit_run.run_audit(project, workers=0)
    assert missing == []
    held = json.loads((project.out_dir / "privacy.json").read_text())
    assert held == json.loads(json.dumps(said))
    assert held["schema"] == report.SCHEMA
    assert [s["name"] for s in held["sides"]] == ["deemo-paper", "hardened"]
    line = held["channels"]["face"]["lines"][0]
    assert list(line["cells"]) == [UNPROTECTED, "deemo-paper", "hardened"]
    assert line["cells"]["hardened"] == {
        "value": 0.52, "low": 0.1, "high": 0.9, "chance": 0.5, "n": 3, "unit": "clips", "within_chance": True,
    }  # fmt: skip
    page = Page((project.out_dir / "privacy.html").read_text())
    assert page.open == [], "every tag is closed"
    text = " ".join(page.text.split())
    for words in (
        "52 %",
        "10 % to 90 %",
        "3 clips",
        "1.23",
        "a note",
        "needs two clips",
        "too wide to prove anything",
        "<i>net</i>",
    ):
        assert words in text, words
    assert "What this does not show" in text
    said_aloud = privacy.summarise(said)
    wide = "guessing is within the interval, which is too wide to prove anything"
    assert said_aloud[0] == f"Face: <i>net</i>, knows originals: rank-1 52% (10% to 90%), guessing gives 50%: {wide}"
    assert said_aloud[1] == "Voice: nothing could be computed"
    assert "not attacked" in text, "the other channels are not passed over in silence"


def test_the_report_holds_nothing_private(project: Project, channels: dict[str, Any]) -> None:
    """Planted: a name in the path and among the names that may be spoken, private ids, digests, the secret."""
    audit_run.run_audit(project, workers=0)
    clips = project_clips.read_current_clips(project)
    secrets = [NAME, NAME.split()[1], "interview", str(project.root.parent), project.secret.hex(), "f" * 16]
    secrets += [word for c in clips for word in (c.id, c.source, c.files["safe"].sha256)]
    for name in ("privacy.json", "privacy.html"):
        text = (project.out_dir / name).read_text()
        assert [s for s in secrets if s.casefold() in text.casefold()] == [], name
        assert derive_public_id(project.secret, "c", clips[1].id) in text


def test_pictures_are_only_of_clips_that_may_go(project: Project, channels: dict[str, Any]) -> None:
    said, _ = audit_run.run_audit(project, workers=0)
    first, second, refused = (derive_public_id(project.secret, "c", c.id) for c in project_clips.read_current_clips(project))
    assert [row["clip"] for row in said["closest"]] == [second, first], "the closest first"
    assert said["withheld"] == 1
    text = (project.out_dir / "privacy.html").read_text()
    assert refused not in text
    pictures = [a for tag, a in Page(text).tags if tag == "img"]
    assert [bool(re.match(r"data:image/jpeg;base64,/9j/", a["src"] or "")) and bool(a["alt"]) for a in pictures] == [True, True]
    assert "1 clips may not be released and are not shown" in text
    assert "The leak check refuses 1 of 3 clips of hardened" in text


def test_the_page_stands_alone_and_can_be_read_aloud(project: Project, channels: dict[str, Any]) -> None:
    audit_run.run_audit(project, workers=0)
    tags = Page((project.out_dir / "privacy.html").read_text()).tags
    names = [tag for tag, _ in tags]
    assert not {"script", "link", "iframe", "a", "object"} & set(names)
    assert all((a.get("src") or "").startswith("data:") for _, a in tags if "src" in a)
    assert names.count("table") == names.count("caption") == names.count("thead") > 2
    assert all(a.get("scope") in ("col", "row") for tag, a in tags if tag == "th")
    assert all(a.get("role") == "img" and a.get("aria-label") for tag, a in tags if tag == "svg")


def test_a_channel_without_its_model_does_not_stop_the_others(project: Project, channels: dict[str, Any]) -> None:
    def lacking(material: Material) -> ChannelResult:
        raise ModelError("weights /home/jane/ge2e.pt are missing", "Type: deemo models pull --group voices")

    channels["voice"] = lacking
    said, missing = audit_run.run_audit(project, workers=0)
    assert [(m.what, m.advice) for m in missing] == [("channel voice", "Type: deemo models pull --group voices")]
    assert said["channels"]["voice"]["lines"] == []
    assert said["clips"]["not_attacked"] == 0
    assert "jane" not in (project.out_dir / "privacy.json").read_text() + (project.out_dir / "privacy.html").read_text()


def test_one_profile_alone(project: Project, channels: dict[str, Any]) -> None:
    said, _ = audit_run.run_audit(project, both=False, workers=0)
    assert [s["name"] for s in said["sides"]] == ["hardened"]
    assert "deemo-paper" not in (project.out_dir / "privacy.html").read_text()


def test_what_cannot_be_attacked_is_said(project: Project, channels: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Failure(project_clips.read_current_clips(project)[0], "MaskVideo", "the disk is full", "Free some space")
    monkeypatch.setattr(run, "run_attempts", lambda other, chosen, *_: ({}, {c.id: replace(failure, clip=c) for c in chosen}))
    with pytest.raises(ProjectError, match=r"nothing to compare.*--profiles own"):
        audit_run.run_audit(project, workers=0)
    monkeypatch.setattr(sample, "read_current_clips", lambda _: [])
    with pytest.raises(ProjectError, match=r"no clip has come through.*deemo run"):
        audit_run.run_audit(project, workers=0)
    with pytest.raises(ConfigError, match=r"is not there.*--recogniser"):
        audit_run.run_audit(project, models=[Path("nowhere.onnx")])


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(0, 5))
def test_so_many_clips_of_each(whose: list[str], most: int) -> None:
    clips = [Clip(f"{k:03}-0-4", f"{k:03}", 0, 4, {}, {"subject": who}) for k, who in enumerate(whose)]
    chosen = sample.sample_clips(clips, b"key", most)
    assert chosen == sorted(chosen, key=lambda c: c.source)
    assert sample.sample_clips(clips[::-1], b"key", most) == chosen
    for who in set(whose):
        kept = sum(c.facts["subject"] == who for c in chosen)
        assert kept == (min(most, whose.count(who)) if most else whose.count(who))


# ── reading the figures ──────────────────────────────────────────────────────────────────────────────────────


def line(safer: str, value: float, low: float | None, high: float | None, chance: float | None) -> dict[str, Any]:
    score = Score(value, float("nan") if low is None else low, float("nan") if high is None else high, chance, 9, "clips")
    return ResultLine("attack", "who", "m", {"x": score}, safer).to_row(["x"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (line("low", 0.9, 0.7, 1, 0.2), "better than guessing"),
        (line("low", 0.05, 0, 0.1, 0.2), "worse than guessing"),
        (line("low", 0.2, 0.1, 0.4, 0.2), "guessing is within the interval"),
        (line("low", 0.2, 0, 0.9, 0.2), "guessing is within the interval, which is too wide to prove anything"),
        (line("high", 0.1, 0.0, 0.2, 0.5), "better than guessing"),
        (line("high", 0.9, 0.8, 1, 0.5), "worse than guessing"),
        (line("high", 0.1, None, None, 0.5), "too few people for an interval"),
        (line("low", 0, 0, 0.2, None), "none found"),
        (line("low", 0.1, 0, 0.9, None), "some found, from too little to prove anything"),
    ],
)
def test_figures_in_words(row: dict[str, Any], words: str) -> None:
    assert privacy_verdict.give_verdict(row, "x") == words


def test_the_strongest_attack_is_the_one_that_surely_works() -> None:
    sure, wide, none = line("low", 0.5, 0.4, 0.6, 0.2), line("low", 0.9, 0.1, 1, 0.2), line("high", 0.5, 0.4, 0.6, 0.5)
    assert privacy_verdict.find_strongest([none, wide, sure], "x") is sure
    assert privacy_verdict.find_strongest([none, wide], "x") is wide
    assert privacy_verdict.find_strongest([line("low", 0.05, 0, 0.1, 0.2), none], "x") is none, "worse than guessing is no attack"
    assert privacy_verdict.find_strongest([], "x") is None


def test_a_plot_puts_dots_where_the_figures_are() -> None:
    row = line("low", 0.25, 0.0, 1.0, 0.5)
    drawn = privacy.draw_attacks("Face", [row], ["x"])
    left, right = privacy.LEFT_PX, privacy.RIGHT_PX
    quarter = left + (right - left) / 4
    assert f"rotate(45 {quarter} " in drawn
    assert f'class="bar s2" x1="{left:.1f}" x2="{right:.1f}"'.replace(".0", "") in drawn.replace(".0", "")
    assert f'class="chance" x1="{(left + right) / 2}"' in drawn
    assert "bar" not in privacy.draw_attacks("Face", [line("low", 0.25, None, None, None)], ["x"])


# ── what is still of use ─────────────────────────────────────────────────────────────────────────────────────


def bodies(frames: int = 10) -> body.Body:
    points = np.full((frames, 1, 75, 3), 0.5, np.float32)
    points[:, 0, 11, 0], points[:, 0, 12, 0] = 0.6, 0.4
    points[:, 0, 33:, :2] = 0.25  # both hands
    return body.Body(points, np.ones((frames, 1, 75), np.float32))


def test_hands_and_poses_that_are_left(tmp_path: Path) -> None:
    faces = pd.DataFrame([(0, 0, 10, 6, 40, 40, 1.0, "detected")], columns=list(FACE_COLUMNS))
    write_faces(faces, tmp_path / "faces.parquet")
    clip = Clip("a", "a", 0, 400, {"faces": File.of(tmp_path / "faces.parquet")}, {"grid": GRID.to_fact()})
    before, after = bodies(), bodies()
    kept = utility.compare_bodies(before, after, clip)
    assert kept.hands.all()
    assert kept.on_face.tolist() == [True, True] + [False] * 18, "the hands lie at 16, 12 px: in the box of frame 0"
    assert np.allclose(kept.errors, 0)
    after.points[0, 0, 33:] = np.nan  # lost over the face
    after.points[1, 0, 33:, 0] += 0.1  # another place: not the same hands
    after.points[:, 0, 11:33, 0] += 0.02  # a tenth of the shoulders
    after.points[5, 0, :33] = np.nan
    kept = utility.compare_bodies(before, after, clip)
    assert kept.hands.tolist() == [False] * 4 + [True] * 16
    assert np.isnan(kept.errors[5])
    assert np.nanmedian(kept.errors) == pytest.approx(0.1, abs=1e-3)
    named = {name: score for name, _, score in utility.pool_utility([kept, kept], ["a", "b"])}
    assert named["hands still found"].value == pytest.approx(0.8)
    assert named["hands over a face still found"].value == 0
    assert named["hands over a face still found"].high > 0.4, "4 hands prove little"
    assert named["body still found"].value == pytest.approx(0.9)
    assert utility.pool_utility([], [])[0][2] is None


def test_an_interval_is_never_a_point() -> None:
    for value in (0.0, 1.0):
        score = utility.score_share([(value, str(k)) for k in range(20)], "names")
        assert score is not None
        assert score.high - score.low > 0.1
    alone = utility.score_share([(1.0, "a"), (0.0, "a")], "names")
    assert alone is not None
    assert 0 < alone.low < 0.1
    assert utility.score_share([], "names") is None


# ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_subjects_turns_are_attacked(tmp_path: Path) -> None:
    turns = [{"start_ms": 1000, "end_ms": 2000, "speaker": "A"}, {"start_ms": 2000, "end_ms": 9000, "speaker": "B"}]
    (tmp_path / "turns").write_text(json.dumps({"turns": turns}))
    (tmp_path / "roles").write_text(
        json.dumps({"speakers": {"A": "subject", "B": "interviewer"}, "faces": {"0": "subject", "1": "x"}})
    )
    files = {n: File.of(tmp_path / n) for n in ("turns", "roles")}
    clip = Clip("a", "a", 1000, 4000, files, {"grid": GRID.to_fact()})
    wave = np.arange(3 * sound.SAMPLE_RATE_HZ, dtype=np.float32)
    assert voice.subject_sound(clip, wave).tolist() == wave[: sound.SAMPLE_RATE_HZ].tolist()
    assert voice.subject_sound(replace(clip, files={}), wave) is wave
    assert face.subject_tracks(clip) == [0]
    assert face.subject_tracks(replace(clip, files={})) is None


def test_names_are_counted_where_the_original_has_them() -> None:
    clips = [Clip(str(k), str(k), 0, 4, {}, {"known_names": ["Jane Doe"], "subject": str(k)}) for k in range(3)]
    before = ["I am Jane Doe", "it was Jane", "nobody"]
    score = share_of_names_found(before, ["I am [NAME]", "it was Jane", "Jane"], clips)
    assert score is not None
    assert (score.value, score.n) == (pytest.approx(1 / 3), 3), "Jane and Doe, Jane; what was not there before is not asked for"
    assert share_of_names_found(["x"] * 3, ["y"] * 3, clips) is None
    described = [replace(c, facts=c.facts | {"known_names": ["man in a car"]}) for c in clips]
    assert share_of_names_found(["it is in a box"] * 3, ["it is in a box"] * 3, described) is None


def test_tags_and_secrets_are_looked_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = project_clips.read_current_clips(project)
    said, ffmpeg = run_ffmpeg, find_ffmpeg()
    source = Path(clips[0].files["source"].path)
    said([ffmpeg, "-i", str(clips[0].path("safe")), "-c", "copy", "-metadata", f"title={NAME}", str(source), "-y"])
    material = Material(project, {"deemo-paper": clips, "hardened": clips})
    found = attack_metadata(material)
    tags = found.lines[0].cells
    assert tags[UNPROTECTED] is not None
    assert tags[UNPROTECTED].value == 1
    assert "Nothing has been released yet" in found.notes[0]
    project.released_dir.mkdir(parents=True)
    (project.released_dir / "c-1.mp4").write_bytes(b"...")
    searched = attack_metadata(material).lines[1].cells["hardened"]
    assert searched is not None
    assert (searched.value, searched.n) == (0, len(audit_words.list_secrets(material)))
    (project.released_dir / "c-1.mp4").write_bytes(f"a {NAME} interview.mp4".encode())
    searched = audit_words.attack_metadata(material).lines[1].cells["hardened"]
    assert searched is not None
    assert searched.value > 0
    assert {NAME + " interview", "0123456789ab"} <= audit_words.list_secrets(material)


def test_halves_of_one_recording() -> None:
    from deemo_data.audit.attacks.body import Track

    whole = Track("s", "c", bodies(10), 25.0)
    first, second = split_in_halves(whole, True)
    assert (first.clip, second.clip, len(first.body.points), len(second.body.points)) == ("c/0", "c/1", 5, 5)
    assert split_in_halves(whole, False) == [whole]
    clip = Clip("c", "c", 0, 4, {}, {"subject": "s"})
    parts = voice.cut_utterances([clip], [np.arange(10, dtype=np.float32)], True)
    assert [(u.clip, len(u.wave)) for u in parts] == [("c/0", 5), ("c/1", 5)]


# ── real people ──────────────────────────────────────────────────────────────────────────────────────────────

SIGNERS = {
    "again": 1, "help": 1, "no": 1, "bird": 2, "milk": 2, "please": 2, "book": 3, "learn": 3, "walk": 3,
    "eat": 4, "night": 4, "hungry": 5, "want": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def signers(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Project]:
    from deemo_data.audit.attacks.face import find_missing_dlib
    from deemo_data.media.probe import probe_video

    if lacking := find_missing_dlib():
        pytest.skip(f"no dlib: {lacking}")
    folder = tmp_path_factory.mktemp("signers")
    rows = [
        f"{path},signer {who},0,{probe_video(path)['duration_ms']},yes"
        for word, who in SIGNERS.items()
        if (path := media / "video" / f"asl_{word}.mkv")
    ]
    (folder / "s.csv").write_text("\n".join(["uri,subject,start_ms,end_ms,consent", *rows]) + "\n")
    project = Project.make(folder / "project", "hardened")
    ingest.ingest_sources(project, str(folder / "s.csv"), None)
    segment.segment_sources(project)
    run.run_project(project)
    export.export_project(project)
    return audit_run.run_audit(project, models=[media / "models" / "mobilefacenet_vface.onnx"])[0], project


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_signers_are_not_named_from_behind_the_mask(signers: tuple[dict[str, Any], Project]) -> None:
    said, _ = signers
    lines = [x for x in said["channels"]["face"]["lines"] if (x["attack"], x["measure"]) == ("knows originals", "rank-1")]
    assert len(lines) == 2
    for x in lines:
        assert x["cells"][UNPROTECTED]["value"] == 1, x["attacker"]
        assert x["cells"]["hardened"]["chance"] == 0.2
        assert x["cells"]["hardened"]["within_chance"], (x["attacker"], x["cells"]["hardened"])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_signers_report_names_no_source(signers: tuple[dict[str, Any], Project]) -> None:
    _, project = signers
    for name in ("privacy.json", "privacy.html"):
        text = (project.out_dir / name).read_text()
        assert [w for w in SIGNERS if f"asl_{w}" in text] == []
        assert [c.id for c in read_project_clips(project) if c.id in text or c.source in text] == []
        assert "signer " not in text
