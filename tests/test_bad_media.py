"""Footage that is damaged or lies: thousands of harmed files, each taken in, cut, read and written as deemo does.

Whatever comes in, the file is refused in one line, or read and let out with as many frames as its grid has. No hang, no
crash, no unbounded memory. By hand, with a table of what happened: DEEMO_FILES=2400 python tests/test_bad_media.py
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deemo_data.audit.attacks import metadata
from deemo_data.clip import Clip
from deemo_data.errors import MediaError
from deemo_data.files import File
from deemo_data.media import encode, ffmpeg, limits, probe
from deemo_data.media.frames import read_frames
from deemo_data.media.sound import SAMPLE_RATE_HZ, frames_to_samples, read_sound, write_wav
from deemo_data.media.streams import TrackWish
from deemo_data.pipeline.run import Failure, catch_failure
from deemo_data.project import release
from deemo_data.project.clips import read_current_clips
from deemo_data.project.project import Project
from deemo_data.sources import intake, isolated_probe, source_table
from deemo_data.sources.intake import IntakeOptions
from deemo_data.stages.deidentify.assemble import Assemble
from deemo_data.stages.detect import segment
from deemo_data.stages.voices import common_voice, conversion
from deemo_data.workflow import ingest
from deemo_data.workflow.segment import cut_source_into_clips
from tests.makers.mutations import bases, mutants, stamp, stamps

TALKER = "talker_hands_speech_wim.mp4"
SECONDS = 90  # for one file; the slowest takes some three on a machine that does nothing else
MEGABYTES = 1500  # of one process, with Silero and the shot detector in it
SECRET = bytes(32)


# ── the process that reads ───────────────────────────────────────────────────────────────────────────────────


def through(path: Path, work: Path) -> dict[str, Any]:
    """What becomes of one file: {"outcome", "said", "frames"}. Anything but a DeemoError or OSError is a "bug"."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    rows = source_table.read_source_rows(str(path))
    outcome = intake.take_in_sources(rows, IntakeOptions(SECRET, work, consent="test media"))
    taken, refused = outcome.sources, outcome.refusals
    if refused:
        return {"outcome": "refused", "said": f"{refused[0].reason}. {refused[0].advice}", "frames": 0}
    [source] = taken
    frames = source.grid.frames
    how = segment.Segment(min_ms=400, max_ms=1000)
    clips = catch_failure("Segment", source, lambda s: cut_source_into_clips(s, how, work / "store", SECRET))
    if isinstance(clips, Failure):
        return {"outcome": "bug" if clips.bug else "not cut", "said": clips.bug or clips.reason, "frames": frames}
    results = [catch_failure("all", clip, lambda c: written(c, work)) for clip in clips]
    failures = [r for r in results if isinstance(r, Failure)]
    if failures:
        bug = next((f.bug for f in failures if f.bug), "")
        outcome = "bug" if bug else "not read" if len(failures) == len(clips) else "read in part"
        return {"outcome": outcome, "said": bug or failures[0].reason, "frames": frames}
    return {"outcome": "read", "said": "", "frames": frames}


def written(clip: Clip, work: Path) -> None:
    """Every frame and sample of a clip read, shown both ways, written and counted again, as the stages do it."""
    import numpy as np

    out = work / clip.id
    out.mkdir()
    grid, seen = clip.grid, []

    def pictures() -> Iterator[Any]:
        for frame in read_frames(clip):
            if frame.bgr().shape != (grid.height, grid.width, 3):
                raise ValueError(f"frame {frame.index} is {frame.bgr().shape}")
            seen.append(frame.index)
            yield frame.yuv()

    count = encode.write_video(out / "masked.mp4", pictures(), grid, 30, "ultrafast")
    if seen != list(range(clip.num_frames)) or count != clip.num_frames:
        raise ValueError(f"{clip.num_frames} frames promised, {count} written, seen: {seen[:3]}…{seen[-3:]}")
    heard = read_sound(clip)
    if heard.shape != (frames_to_samples(clip.num_frames, grid.fps),) or not np.isfinite(heard).all() or abs(heard).max() > 1:
        raise ValueError(f"sound of {heard.shape}, from {heard.min()} to {heard.max()}")
    write_wav(out / "voice.wav", heard)
    made = {"masked": out / "masked.mp4", "voice": out / "voice.wav"}
    Assemble()(clip.with_results({n: File.of(p) for n, p in made.items()}, {}), out)


def serve() -> None:
    """Reads paths from stdin, says what became of each: a line of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    with tempfile.TemporaryDirectory() as work:
        for line in sys.stdin:
            Path("/proc/self/clear_refs").write_text("5")  # so that VmHWM is the most of this file
            began = time.monotonic()
            told = through(Path(line.rstrip("\n")), Path(work) / "w")
            most = next(n for n in Path("/proc/self/status").read_text().splitlines() if n.startswith("VmHWM"))
            told |= {"seconds": time.monotonic() - began, "megabytes": int(most.split()[1]) // 1024}
            say(json.dumps(told))


# ── the process that watches it ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Reader:
    """A process of its own that reads, and is replaced when it dies or says nothing for too long."""

    process: subprocess.Popen[str] | None = None

    def read(self, path: Path, seconds: float = SECONDS) -> dict[str, Any]:
        process = self.process = self.process or subprocess.Popen(
            [sys.executable, "-c", "from tests import test_bad_media; test_bad_media.serve()"],
            cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError
        with suppress(BrokenPipeError):  # it died: reading from it says so
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.process = None
        process.kill()
        said = process.communicate()[1][-2000:]
        outcome = "crashed" if ready else "timed out"
        return {"outcome": outcome, "said": f"{process.returncode} {said}", "frames": 0, "seconds": seconds, "megabytes": 0}

    def close(self) -> None:
        if self.process:
            self.process.communicate("")


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def faults(name: str, told: dict[str, Any]) -> list[str]:
    """What may never become of a file."""
    found = []
    if told["outcome"] in ("bug", "crashed", "timed out"):
        found.append(f"{name} {told['outcome']}: {told['said']}")
    elif len(told["said"].splitlines()) > 1 or (told["outcome"] != "read" and not told["said"]):
        found.append(f"{name}: not one line: {told['said']!r}")
    if told["megabytes"] > MEGABYTES:
        found.append(f"{name} took {told['megabytes']} MB")
    return found


def read_all(files: Iterable[tuple[str, bytes]], folder: Path, reader: Reader) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, data in files:
        path = folder / name
        path.write_bytes(data)
        yield name, reader.read(path)
        path.unlink()


@pytest.fixture(scope="module")
def sound(media: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    from deemo_data.media.ffmpeg import find_ffmpeg

    return bases(tmp_path_factory.mktemp("bases"), media / "video" / TALKER, find_ffmpeg())


# ── what has to hold ─────────────────────────────────────────────────────────────────────────────────────────


def check(sound: dict[str, bytes], count: int, folder: Path) -> Counter[str]:
    reader, bad, became = Reader(), [], Counter[str]()
    for name, told in read_all(mutants(sound, count), folder, reader):
        became[told["outcome"]] += 1
        bad += faults(name, told)
    reader.close()
    assert bad == []
    return became


@pytest.mark.timeout(900)
def test_harmed_footage_is_refused_or_read_to_the_last_frame(sound: dict[str, bytes], tmp_path: Path) -> None:
    became = check(sound, 60, tmp_path)
    assert became["refused"] > 5, "else the harm is none"
    assert became["read"] > 20, "else nothing was read"


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_much_harmed_footage(sound: dict[str, bytes], tmp_path: Path) -> None:
    count = int(os.environ.get("DEEMO_FILES", "400"))
    assert check(sound, count, tmp_path).total() == count


def test_whole_files_are_read_whole(sound: dict[str, bytes], tmp_path: Path) -> None:
    reader = Reader()
    told = dict(read_all(((f"whole.{ending}", data) for ending, data in sound.items()), tmp_path, reader))
    reader.close()
    assert {name: t["outcome"] for name, t in told.items()} == dict.fromkeys(told, "read"), told
    assert all(t["frames"] >= 40 for t in told.values())


def test_the_same_harm_every_time(sound: dict[str, bytes]) -> None:
    once, again = (list(mutants(sound, 48)) for _ in range(2))
    assert once == again
    assert len({name for name, _ in once}) == 48
    assert sum(data != sound[name.rsplit(".")[-1]] for name, data in once) >= 44


def test_the_watcher_sees_a_crash_and_a_hang(sound: dict[str, bytes], tmp_path: Path) -> None:
    reader = Reader()
    (tmp_path / "a.mp4").write_bytes(sound["mp4"])
    assert reader.read(tmp_path / "a.mp4")["outcome"] == "read"
    assert reader.process is not None
    reader.process.send_signal(signal.SIGSTOP)
    hung = reader.read(tmp_path / "a.mp4", seconds=0.5)
    assert (hung["outcome"], reader.process) == ("timed out", None)
    assert reader.read(tmp_path / "a.mp4")["outcome"] == "read", "another process took its place"
    assert reader.process is not None
    reader.process.kill()
    reader.process.wait()
    died = reader.read(tmp_path / "a.mp4")
    assert died["outcome"] == "crashed"
    assert faults("a.mp4", hung)
    assert faults("a.mp4", died)


def deadly(unknown: Clip, vfr_fps: int, wish: TrackWish) -> Any:
    """`footage._probe`, with a decoder that crashes at some footage."""
    if unknown.path("source").name.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return probe.probe_video(unknown.path("source"), vfr_fps, wish)


def test_footage_at_which_a_decoder_crashes_is_refused_and_the_rest_taken_in(
    sound: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "footage"
    folder.mkdir()
    for name in ("a.mp4", "deadly.mkv", "z.avi"):
        (folder / name).write_bytes(sound[name[-3:]])
    monkeypatch.setattr(isolated_probe, "_probe_clip", deadly)
    made = Project.make(tmp_path / "p")
    taken, missing = ingest.ingest_sources(made, str(folder), "test media")
    assert {c.path("source").name for c in taken} == {"a.mp4", "z.avi"}
    [line] = missing
    assert line.what.endswith("deadly.mkv")
    assert "died" in line.reason
    assert len(str(line).splitlines()) == 1


# ── faults that were found so ────────────────────────────────────────────────────────────────────────────────


def probed(tmp_path: Path, name: str, data: bytes) -> Clip:
    (tmp_path / name).write_bytes(data)
    facts = probe.probe_video(tmp_path / name)
    return Clip("a", "a", 0, facts.pop("duration_ms"), {"source": File.of(tmp_path / name)}, facts)


def test_sound_that_is_no_number_is_silence(sound: dict[str, bytes], tmp_path: Path) -> None:
    import numpy as np

    whole = probed(tmp_path, "a.mov", sound["mov"])
    data, at = sound["mov"], sound["mov"].index(b"mdat") + 100_000  # half of it: the rest has to be heard
    harmed = probed(
        tmp_path, "b.mov", data[:at] + struct.pack("<3f", float("nan"), float("inf"), -3e38) * 500 + data[at + 6000 :]
    )
    harmed = harmed.with_results({}, {"sound": whole.facts["sound"]})  # one gain and one mix for both
    heard, before = read_sound(harmed), read_sound(whole)
    assert np.isfinite(heard).all()
    assert abs(heard).max() <= 1
    assert (heard == before).mean() > 0.3, "what is whole stays as it was"


@pytest.mark.parametrize(("channels", "outcome"), [(8, "read"), (255, "read")])
def test_many_channels_crash_nothing(channels: int, outcome: str, sound: dict[str, bytes], tmp_path: Path) -> None:
    data = sound["mov"]
    at = data.index(b"fl32")
    (tmp_path / "a.mov").write_bytes(data[: at + 20] + struct.pack(">HH", channels, 32) + data[at + 24 :])
    reader = Reader()
    told = reader.read(tmp_path / "a.mov")
    reader.close()
    assert told["outcome"] == outcome, told


def test_tags_in_another_alphabet_are_no_hindrance(sound: dict[str, bytes], tmp_path: Path) -> None:
    data = sound["mp4"]
    assert b"VideoHandler" in data
    (tmp_path / "a.mp4").write_bytes(data.replace(b"VideoHandler", "Vidéo de Zoë".encode("latin-1")))
    assert probe.probe_video(tmp_path / "a.mp4")["grid"]["frames"] == 42
    assert metadata.tags_of(tmp_path / "a.mp4") is not None


def test_one_far_time_stamp_claims_no_day_of_footage(sound: dict[str, bytes], tmp_path: Path) -> None:
    data = sound["mpg"]
    pictures = [at for at in stamps(data) if data[data.rfind(b"\x00\x00\x01", 0, at) + 3] == 0xE0]
    for at in pictures[len(pictures) // 2 :]:
        data = stamp(data, at, 90_000 * 3600 * 20)
    with pytest.raises(
        MediaError, match=r"a\.mpg: the clock of the pictures goes back by \d+\.\d s and that of the sound does not"
    ):
        probed(tmp_path, "a.mpg", data)


@pytest.mark.parametrize("size", [(32, 20_000), (20_000, 32)])
def test_a_picture_that_no_encoder_takes_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(MediaError, match="cannot be used"):
        limits.check_picture_size("a.mp4", *size)


def test_a_voice_of_a_few_frames_is_changed_too() -> None:
    import numpy as np

    for samples in (0, 1, 160, 448, 545, 642, 900, 2000):
        time = np.arange(samples) / SAMPLE_RATE_HZ
        made = conversion.convert_voice(0.3 * np.sin(2 * np.pi * 140 * time), common_voice.VoiceOffsets.draw(b"0" * 32))
        assert made.shape == (samples,)
        assert np.isfinite(made).all()


# ── the whole line ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_harmed_footage_through_the_whole_line(sound: dict[str, bytes], weights: Path, tmp_path: Path) -> None:
    """deemo's own commands, hardened: what comes out is released with as many frames as it has, or is a named failure."""
    count = int(os.environ.get("DEEMO_RUN_FILES", "6"))
    folder = tmp_path / "footage"
    folder.mkdir()
    for name, data in mutants(sound, count):
        (folder / name).write_bytes(data)
    root = tmp_path / "p"

    def deemo(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deemo_data.cli", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
        assert done.returncode in (0, 1), done
        assert "Traceback" not in done.stdout + done.stderr
        return done

    deemo("init", root)
    (root / "deemo.toml").write_text((root / "deemo.toml").read_text().replace("min_ms = 5000", "min_ms = 500"))
    deemo("ingest", root, folder, "--consent", "test media")
    deemo("segment", root)
    deemo("run", root)
    made = Project.open(root)
    refused = json.loads((root / "out" / "ingest.json").read_text())["problems"] + json.loads(
        (root / "out" / "segment.json").read_text()
    )
    told = json.loads((root / "out" / "run.json").read_text())
    assert not [line for line in told["did_not"] if "bug" in line]
    safe, kept = release.release_clips(read_current_clips(made), made)
    assert (
        len({s.path("source").name for s in made.read_sources()})
        + len(json.loads((root / "out" / "ingest.json").read_text())["problems"])
        == count
    )
    assert told["clips"] == told["came_out"] + len(told["did_not"]) == len(safe) + len(kept)
    for clip in safe:
        grid = probe.probe_video(clip.path("video"), round(clip.grid.fps))["grid"]
        assert grid["frames"] == clip.num_frames
    for line in [*refused, *told["did_not"]]:
        assert len(line["reason"].splitlines()) == 1
        assert line["reason"]
    say(f"{count} files: {len(refused)} refused, {told['clips']} clips, {len(safe)} released, kept: "
          f"{[(m['step'], m['reason'][:90]) for m in told['did_not']]}")  # fmt: skip


def by_hand() -> None:
    """A table of what became of DEEMO_FILES harmed files."""
    count, where = int(os.environ.get("DEEMO_FILES", "2400")), os.environ.get("DEEMO_KEEP")
    kinds = ("refused", "not cut", "not read", "read in part", "read: other length", "read", "timed out", "crashed", "bug")
    became: dict[str, Counter[str]] = {}
    worst: list[tuple[float, int, str]] = []
    reader, bad = Reader(), []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(__file__).resolve().parents[2] / "shared" / "media" / "video" / TALKER
        whole = bases(Path(folder), video, ffmpeg.find_ffmpeg())
        lengths = {ending: reader.read(Path(folder) / f"base.{ending}")["frames"] for ending in whole}
        files = dict(mutants(whole, count))
        for name, told in read_all(files.items(), Path(folder), reader):
            ending, outcome = name.rsplit(".")[-1], told["outcome"]
            if outcome == "read" and told["frames"] != lengths[ending]:
                outcome = "read: other length"
            became.setdefault(ending, Counter())[outcome] += 1
            worst.append((told["seconds"], told["megabytes"], name))
            if wrong := faults(name, told):
                bad += wrong
                say("FAULT", *wrong)
                if where:
                    (Path(where) / name).write_bytes(files[name])
            say(
                name, outcome, told["frames"], f"{told['seconds']:.1f} s", told["megabytes"], "MB", told["said"][:150], flush=True
            )
    reader.close()
    say("| container | files | " + " | ".join(kinds) + " |")
    for ending, counts in [*became.items(), ("all", sum(became.values(), Counter()))]:
        say(f"| {ending} | {counts.total()} | " + " | ".join(str(counts[k]) for k in kinds) + " |")
    say("slowest:", sorted(worst)[-5:])
    say("largest:", sorted((m, n) for _, m, n in worst)[-5:])
    say(f"{len(bad)} faults")


if __name__ == "__main__":
    by_hand()
