"""What a project costs grows with its clips and not faster, and a long recording takes no more memory than a short one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.clip import Clip, read_clips
from deemo_data.dataset import near_duplicates
from deemo_data.media import container, ffmpeg, frames
from deemo_data.media.sound import BLOCK_SAMPLES, SoundBlocks, read_sound
from deemo_data.pipeline import entry, order, store
from deemo_data.project import clips as project_clips
from deemo_data.project import corrections, release
from deemo_data.project.clips import read_current_clips, read_project_clips
from deemo_data.project.project import Project
from deemo_data.workflow import run
from deemo_data.workflow import status as how_far
from tests.makers.recordings import whole

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "bench"))
import scale  # noqa: E402

SMALL, LARGE = 100, 300
MINUTES = int(os.environ.get("DEEMO_LONG_MINUTES", "30"))
GROWTH_MB = 5  # a minute that a stage over a whole recording may hold more for a longer one


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Project]:
    """Two projects that have been through `deemo run`, as bench/scale.py makes them."""
    root = tmp_path_factory.mktemp("scale")
    for clips in (SMALL, LARGE):
        scale.make_project(root / str(clips), clips, workers=1)
    return {clips: Project.open(root / str(clips)) for clips in (SMALL, LARGE)}


# ── many clips ───────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many Python lines' worth of calls are made, ours and others': a measure of work that a busy machine does not change."""
    calls = [0]

    def count(frame: Any, event: str, argument: Any) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def released(project: Project) -> None:
    with project.lock():
        _, kept = release.release_clips(read_current_clips(project), project)
    assert kept == []


WORK: dict[str, Callable[[Project], object]] = {"status": how_far.compute_status, "run": run.run_project, "release": released}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", WORK)
def test_work_grows_with_the_clips_and_not_faster(projects: dict[int, Project], what: str) -> None:
    calls = {}
    for clips, project in projects.items():
        WORK[what](project)  # what is done once (imports, links) is not counted
        with counted() as made:
            WORK[what](project)
        calls[clips] = made[0]
    per_clip = calls[LARGE] / LARGE, calls[SMALL] / SMALL
    assert per_clip[0] < 1.1 * per_clip[1], calls
    assert per_clip[0] < 2850, "calls a clip: 15 stages are looked up"


def test_an_entry_is_read_once(projects: dict[int, Project], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = entry.read_entry
    monkeypatch.setattr(store, "read_entry", lambda home: read.append(str(home)) or real(home))
    for work in WORK.values():
        read.clear()
        work(projects[SMALL])
        assert len(read) == len(set(read)) == 13 * SMALL + 2 * SMALL // scale.PER_SOURCE  # two stages have one entry a source


def test_what_is_withheld_is_read_once_and_again_when_it_changed(
    projects: dict[int, Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, read = projects[SMALL], [0]
    real = corrections.read_withheld_spans

    def withheld(root: Path) -> list[corrections.WithheldSpan]:
        read[0] += 1
        return real(root)

    monkeypatch.setattr(corrections, "read_withheld_spans", withheld)
    clips = read_current_clips(project)
    held = corrections.withhold_clip(project.root, clips[3])
    try:
        assert [corrections.is_withheld(project.root, c) for c in clips[:6]] == [False, False, False, True, False, False]
        assert read[0] == 1
        other = corrections.withhold_clip(project.root, clips[5])
        assert [corrections.is_withheld(project.root, c) for c in clips[:6]] == [False, False, False, True, False, True]
        corrections.allow_span(project.root, other.id)
        assert not corrections.is_withheld(project.root, clips[5])
        assert read[0] == 4, "allow() looks into it too"
    finally:
        corrections.allow_span(project.root, held.id)


def test_every_stage_of_every_clip_is_found(projects: dict[int, Project]) -> None:
    clips, states, kept = how_far.compute_status(projects[SMALL])
    assert clips == SMALL
    assert {s.clips_done for s in states} == {SMALL}
    assert {s.other_versions for s in states} == {()}
    assert kept == []
    before = (projects[SMALL].root / "clips.jsonl").read_bytes()
    done, missing = run.run_project(projects[SMALL])
    assert (len(done), missing) == (SMALL, [])
    assert (projects[SMALL].root / "clips.jsonl").read_bytes() == before, "the bench writes what a run writes"


def test_several_processes_see_what_one_sees(projects: dict[int, Project], monkeypatch: pytest.MonkeyPatch) -> None:
    project = projects[SMALL]
    safe = [c.path("safe") for c in read_current_clips(project)]
    kept = {p: p.read_bytes() for p in (safe[5], safe[SMALL - 2])}
    for path in kept:
        path.unlink()
    try:
        alone, clips = how_far.compute_status(project, workers=0), read_current_clips(project)
        monkeypatch.setattr(project_clips, "CLIPS_PER_BATCH", SMALL // 8)
        assert how_far.compute_status(project, workers=2) == alone
        assert how_far.compute_status(project, workers=0) == alone
        assert project_clips.read_current_clips(project) == clips
        assert len(alone[2]) == 2
    finally:
        for path, data in kept.items():
            path.write_bytes(data)


def test_looking_up_says_what_a_run_without_work_says(projects: dict[int, Project]) -> None:
    """Also of clips that lack an entry, whose entry is cut off, and that were refused."""
    project = projects[SMALL]
    clips = project_clips.read_current_clips(project)
    broken = [clips[1].path("faces").parent / "entry.json", clips[2].path("safe"), clips[20].path("turns").parent / "entry.json"]
    refused = clips[7].path("leaks").parent / "entry.json"
    kept = {p: p.read_bytes() for p in (*broken, refused)}
    try:
        for path in broken:
            path.unlink()
            path.write_bytes(kept[path][:-7])
        said = json.loads(kept[refused])
        refused.write_text(entry.format_entry(said | {"facts": said["facts"] | {"leaks_passed": False}}))
        done, failed = run.run_attempts(project, read_project_clips(project), set())
        assert [*done.values(), *(f.clip for f in failed.values())] == project_clips.read_current_clips(project)
        _, states, kept_back = how_far.compute_status(project)
        made = {s.name: s.clips_done for s in states}
        assert made["track_body"] == SMALL
        assert made["find_faces"] == SMALL - 1
        assert made["diarise"] == SMALL - 100, "one entry for the hundred clips of a source"
        assert {m.what for m in kept_back} >= {clips[1].id, clips[2].id, clips[7].id}
    finally:
        for path, data in kept.items():
            path.unlink()
            path.write_bytes(data)
    assert how_far.compute_status(project)[2] == []


@pytest.mark.parametrize("stage", order.STAGE_ORDER, ids=lambda s: s.__name__)
def test_keys_are_what_they_were(projects: dict[int, Project], stage: Any) -> None:
    """sha256 of one JSON object with sorted keys, as the stores of older versions have it."""
    import hashlib
    from dataclasses import asdict

    project, made = projects[SMALL], stage()
    clip = project_clips.read_current_clips(project)[5].with_results(
        {}, {"known_names": ['Zoë "Z" O\'Neill\\', "\u2028"], "has_sound": True}
    )
    seen = store.restrict_clip(made, clip, project.secret)
    facts = {n: v for n, v in seen.facts.items() if n not in seen.files}
    if "secret" in facts:
        facts["secret"] = hashlib.sha256(f"key id of {facts['secret']}".encode()).hexdigest()[:16]
    said = {
        "stage": stage.__name__, "version": made.version, "parameters": asdict(made), "span": [clip.start_ms, clip.end_ms],
        "files": {n: f.sha256 for n, f in seen.files.items()}, "facts": facts,
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
    assert Path(store.StageEntries(made, project.store_dir, project.secret).entry_dir(clip)).name == key


def test_lists_are_written_when_something_changed(tmp_path: Path) -> None:
    from deemo_data.clip import write_clips

    path, clips = tmp_path / "clips.jsonl", [Clip(f"a-{n}-{n + 1}", "a", n, n + 1) for n in range(50)]
    write_clips(clips, path)
    inode = path.stat().st_ino
    write_clips(clips, path)
    assert path.stat().st_ino == inode
    for other in (clips[:-1], [*clips, Clip("b-0-1", "b", 0, 1)], [replace(clips[0], facts={"x": 1}), *clips[1:]]):
        write_clips(other, path)
        assert read_clips(path) == other
    path.chmod(0o666)
    write_clips(other, path)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("most", [1, 5, 20, 64])
def test_clips_that_look_alike_are_all_found(most: int) -> None:
    rng = np.random.default_rng(most)
    base, looks, whose = rng.integers(0, 256, (200, 96), np.uint8), {}, {}
    for n in range(600):
        bits = np.unpackbits(base[n % 200])
        bits[rng.integers(0, 768, rng.integers(0, 4 * most))] ^= 1
        looks[f"c-{n:04}"], whose[f"c-{n:04}"] = np.packbits(bits).tobytes().hex(), f"s-{n % 7 + n // 300}"
    ints = {c: int(look, 16) for c, look in looks.items()}
    near = {tuple(sorted((whose[a], whose[b]))) for a in ints for b in ints
            if a < b and whose[a] != whose[b] and (ints[a] ^ ints[b]).bit_count() <= 3 * most}  # fmt: skip
    found = list(near_duplicates.find_similar_pictures(whose, looks, most))
    assert {tuple(sorted(p.subjects)) for p in found} == near
    assert near
    assert all((ints[a] ^ ints[b]).bit_count() <= 3 * most for a, b in (p.clips for p in found))


def test_clips_that_do_not_look_alike_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = [0]
    real = near_duplicates._hamming_distances

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        compared[0] += len(a) * len(b)
        return real(a, b)

    monkeypatch.setattr(near_duplicates, "_hamming_distances", distance)
    rng = np.random.default_rng(0)
    looks = {f"c-{n:05}": rng.bytes(96).hex() for n in range(5000)}
    assert list(near_duplicates.find_similar_pictures({c: f"s-{c}" for c in looks}, looks, 5)) == []
    assert compared[0] < 5000, "of 12.5 million pairs"


# ── a long recording ─────────────────────────────────────────────────────────────────────────────────────────


def looped(source: Path, minutes: float, out: Path) -> Path:
    command = [ffmpeg.find_ffmpeg(), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i", str(source)]
    subprocess.run([*command, "-t", str(minutes * 60), "-c", "copy", str(out)], check=True)
    return out


@pytest.fixture(scope="module")
def talk(media_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real talk of 17 s, made small: a long recording of it is decoded quickly."""
    out = tmp_path_factory.mktemp("talk") / "talk.mp4"
    source = media_folder / "video" / "talker_hands_speech_wim.mp4"
    how = ["-vf", "scale=160:90", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-c:a", "copy"]
    subprocess.run([ffmpeg.find_ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", str(source), *how, str(out)], check=True)
    return out


@pytest.fixture(scope="module")
def media_folder() -> Path:
    folder = REPO.parent / "shared" / "media"
    if not (folder / "video").is_dir():
        pytest.skip("no real footage")
    return folder


def test_sound_in_blocks_is_the_sound(talk: Path, tmp_path: Path) -> None:
    clip = whole(looped(talk, 2.4, tmp_path / "long.mp4"))
    sound, wave = SoundBlocks(clip), read_sound(clip)
    blocks = list(sound)
    assert [len(b) for b in blocks] == [BLOCK_SAMPLES, BLOCK_SAMPLES, len(wave) - 2 * BLOCK_SAMPLES]
    assert len(sound) == len(wave)
    assert np.array_equal(np.concatenate(blocks), wave)
    assert np.array_equal(np.concatenate(list(sound)), wave), "it may be gone through again"


def test_models_hear_the_same_in_blocks(talk: Path, tmp_path: Path, weights: Path) -> None:
    from deemo_data.models.speech import diarisation, ge2e, silero

    clip = whole(looped(talk, 1.2, tmp_path / "long.mp4"))
    sound, wave = SoundBlocks(clip), read_sound(clip)
    net = silero.load()
    assert np.array_equal(silero.compute_probabilities(net, sound), silero.compute_probabilities(net, [wave]))
    odd = [wave[:1000], wave[1000:1001], wave[1001:777_777], wave[777_777:]]
    assert np.array_equal(silero.compute_probabilities(net, odd), silero.compute_probabilities(net, [wave]))
    assert np.array_equal(ge2e.compute_mel(sound), ge2e.compute_mel(wave))
    assert diarisation._compute_gain(sound) == diarisation._compute_gain(wave)


MEMORY = """
import json, resource, sys, tempfile
from pathlib import Path
sys.path[:0] = [{tests!r}, {bench!r}]
from tests.makers.recordings import whole
from deemo_data.stages.detect.segment import Segment
from deemo_data.stages.detect.diarise import Diarise
{stage}()(whole(Path(sys.argv[1])), Path(tempfile.mkdtemp(dir=sys.argv[2])))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["Segment", "Diarise"])
def test_a_long_recording_is_not_held(talk: Path, tmp_path: Path, weights: Path, stage: str) -> None:
    """Peak memory of what sees whole recordings, at MINUTES and at a third of that (two hours: DEEMO_LONG_MINUTES=120)."""
    code = MEMORY.format(tests=str(REPO / "tests"), bench=str(REPO / "bench"), stage=stage)
    peak = {}
    for minutes in (MINUTES / 3, MINUTES):
        path = looped(talk, minutes, tmp_path / f"{minutes}.mp4")
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(tmp_path)], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        peak[minutes] = int(done.stdout)
    assert peak[MINUTES] - peak[MINUTES / 3] < GROWTH_MB * MINUTES * 2 / 3, peak


def test_the_end_of_a_long_recording_is_reached_by_a_seek(talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip at the end decodes no more pictures and no more sound than one at the start, and shows the same."""
    source = whole(looped(talk, 20, tmp_path / "long.mp4"))
    decoded = [0]
    real = container.decode_packets

    def counting(*arguments: Any, **options: Any) -> Iterator[Any]:
        for frame in real(*arguments, **options):
            decoded[0] += 1
            yield frame

    monkeypatch.setattr(container, "decode_packets", counting)
    seen = {}
    for start in (10_000, 19 * 60_000 + 50_000):
        clip = Clip.of_span(source, start, start + 5_000)
        decoded[0] = 0
        pictures = [f.bgr(16, 8).tobytes() for f in frames.read_frames(clip)]
        wave = read_sound(clip)
        seen[start] = decoded[0]
        assert len(pictures) == clip.num_frames == 150
        assert len(wave) == 80_000
        assert Fraction(clip.first_frame) / clip.grid.fps == Fraction(start, 1000)
    early, late = seen.values()
    assert late < early + 25 * 30, (early, late)


FACES = """
import json, re, sys, time
from pathlib import Path
import numpy as np
sys.path[:0] = [{tests!r}, {bench!r}]
from tests.makers.recordings import whole
from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.stages.detect.find_faces import FindFaces
from deemo_data.tracks.body import Body, write_body
start, out = int(sys.argv[2]), Path(sys.argv[3])
clip = Clip.of_span(whole(Path(sys.argv[1])), start, start + 10_000)
nobody = np.full((clip.num_frames, 1, 75, 3), np.nan, np.float32)
write_body(Body(nobody, np.zeros(nobody.shape[:3], np.float32)), out / "body.parquet")
clip = clip.with_results({{"body": File.of(out / "body.parquet")}}, {{}})
Path("/proc/self/clear_refs").write_text("5")  # VmHWM is then the most from here on
began = time.process_time()
FindFaces()(clip, out)
most = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(json.dumps([time.process_time() - began, int(most[1]) / 1024]))
"""


@pytest.mark.slow
def test_a_clip_at_the_end_of_a_long_recording_costs_no_more(media_folder: Path, tmp_path: Path, weights: Path) -> None:
    """CPU seconds and peak memory of FindFaces over 10 s, at the start of MINUTES of footage and at their end."""
    path = looped(media_folder / "video" / "talker_hands_speech_wim.mp4", MINUTES, tmp_path / "long.mp4")
    code = FACES.format(tests=str(REPO / "tests"), bench=str(REPO / "bench"))
    loop_ms = 17_267  # so that both clips show the same
    last = 10_000 + loop_ms * ((MINUTES * 60_000 - 25_000) // loop_ms)
    cost: dict[int, tuple[float, float]] = {}
    for start in (10_000, last):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(start), str(tmp_path)],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPO)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        cost[start] = json.loads(done.stdout.splitlines()[-1])
    (early_s, early_mb), (late_s, late_mb) = cost.values()
    assert late_s < 1.3 * early_s + 1, cost
    assert late_mb < early_mb + 40, cost


def test_the_bench_measures(tmp_path: Path) -> None:
    began = time.monotonic()
    rows = scale.measure([20], ("status",), tmp_path, 1)["status"][20]
    assert 0 < rows["cpu_s"] < time.monotonic() - began + 60
    assert rows["mb"] > 20
    assert scale.growth({10: {"cpu_s": 1.0}, 20: {"cpu_s": 2.0}, 40: {"cpu_s": 8.0}}) == pytest.approx(3)
