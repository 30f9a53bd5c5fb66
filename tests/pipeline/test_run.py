"""Step by step, each clip through or listed with its reason, and nothing done twice."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deemo_data.clip import Clip, Facts, Grid
from deemo_data.errors import ConfigError, MediaError
from deemo_data.files import File
from deemo_data.pipeline import order
from deemo_data.pipeline.run import Failure, Watcher, group_into_steps, run_stages

SECRET = b"k" * 32
pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True)
class First:
    times: int = 2
    bad: str = ""  # the clip that goes wrong
    how: str = ""

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "log")
    makes: ClassVar[dict[str, str]] = {"one": "one.txt"}
    tells: ClassVar[tuple[str, ...]] = ("told",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        note(clip, "First")
        if clip.id == self.bad:
            match self.how:
                case "ours":
                    raise MediaError(f"clip {clip.id} cannot be read", "Type: something")
                case "full":
                    raise OSError(28, "No space left on device", "one.txt")
                case "bug":
                    return {}[clip.id]  # type: ignore[index]
                case "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
        (out / "one.txt").write_text(clip.path("source").read_text() * self.times)
        return {"told": self.times}


@dataclass(frozen=True)
class Beside:
    """Depends on nothing that another stage makes."""

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "log")
    makes: ClassVar[dict[str, str]] = {"beside": "beside.txt"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        note(clip, "Beside")
        (out / "beside.txt").write_text("beside")
        return {}


@dataclass(frozen=True)
class Second:
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("one", "told", "log")
    makes: ClassVar[dict[str, str]] = {"two": "two.txt"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        note(clip, "Second")
        (out / "two.txt").write_text(f"{clip.facts['told']} {clip.path('one').read_text()}")
        return {}


@dataclass(frozen=True)
class Meets:
    """Says that it is there, and waits for another one to say so."""

    me: str
    other: str
    patience: float = 30

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "log")
    tells: ClassVar[tuple[str, ...]] = ()

    @property
    def makes(self) -> dict[str, str]:
        return {f"met_{self.me}": "met.txt"}

    def __call__(self, clip: Clip, out: Path) -> Facts:
        Path(clip.facts["log"] + self.me).touch()
        until = time.monotonic() + self.patience
        while not Path(clip.facts["log"] + self.other).exists():
            if time.monotonic() >= until:
                raise MediaError(f"{self.other} has not come")
            time.sleep(0.01)
        (out / "met.txt").touch()
        return {}


@dataclass(frozen=True)
class Greets(Meets):
    """Another one, by its name."""


def note(clip: Clip, stage: str) -> None:
    with open(clip.facts["log"], "a") as f:
        f.write(f"{stage} {clip.id}\n")


@dataclass
class Bench:
    root: Path
    clips: list[Clip] = field(default_factory=list)

    def run(self, stages: list[Any], **more: Any) -> tuple[dict[str, Clip], dict[str, Failure]]:
        done, failures = run_stages(stages, self.clips, store_dir=self.root / "store", secret=SECRET, **more)
        came = [c.id for c in done] + [f.clip.id for f in failures]
        assert sorted(came) == sorted(c.id for c in self.clips), "every clip is accounted for, once"
        return {c.id: c for c in done}, {f.clip.id: f for f in failures}

    def worked(self) -> list[str]:
        """What was done since last asked."""
        log = self.root / "log"
        said = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return said


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    for name in "abcd":
        (tmp_path / name).write_text(name)
        bench.clips.append(Clip(name, name, 0, 10, {"source": File.of(tmp_path / name)}, {"log": str(tmp_path / "log")}))
    return bench


ALL = [First(), Beside(), Second()]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_all_clips_through_all_stages_and_nothing_twice(bench: Bench, workers: int) -> None:
    done, failed = bench.run(ALL, workers=workers)
    assert not failed
    assert {i: c.path("two").read_text() for i, c in done.items()} == {i: f"2 {i}{i}" for i in "abcd"}
    assert all({"source", "one", "beside", "two"} == set(c.files) and c.facts["told"] == 2 for c in done.values())
    worked = bench.worked()
    assert [w.split()[0] for w in worked[:4]] == ["First"] * 4, "step by step"
    assert sorted(w.split()[0] for w in worked[4:]) == ["Beside"] * 4 + ["Second"] * 4
    assert len(set(worked)) == 12
    again, _ = bench.run(ALL, workers=workers)
    assert again == done
    assert bench.worked() == []


def test_a_changed_parameter_redoes_only_what_hangs_on_it(bench: Bench) -> None:
    bench.run(ALL)
    bench.worked()
    done, _ = bench.run([First(times=3), Beside(), Second()])
    assert {w.split()[0] for w in bench.worked()} == {"First", "Second"}
    assert done["a"].path("two").read_text() == "3 aaa"
    bench.run(ALL)
    assert bench.worked() == [], "the old work is still there"


def test_one_changed_source_redoes_only_its_clip(bench: Bench) -> None:
    bench.run(ALL)
    bench.worked()
    (bench.root / "b").write_text("B")
    bench.clips[1] = bench.clips[1].with_results({"source": File.of(bench.root / "b")}, {})
    done, _ = bench.run(ALL)
    assert bench.worked() == ["First b", "Beside b", "Second b"]
    assert done["b"].path("two").read_text() == "2 BB"


@pytest.mark.parametrize(
    ("how", "reason", "advice", "workers"),
    [
        ("ours", "clip b cannot be read", "Type: something", 0),
        ("full", "No space left on device: one.txt", "Free some space and run again", 0),
        ("bug", "KeyError: 'b'", "This is a fault of deemo", 0),
        ("bug", "KeyError: 'b'", "This is a fault of deemo", 1),
        ("killed", "the process working on it died", "Run again", 2),
    ],
)
def test_one_clip_that_fails_does_not_stop_the_others(bench: Bench, how: str, reason: str, advice: str, workers: int) -> None:
    done, failed = bench.run([First(bad="b", how=how), Beside(), Second()], workers=workers)
    assert sorted(done) == ["a", "c", "d"]
    (failure,) = failed.values()
    assert (failure.clip.id, failure.stage) == ("b", "First")
    assert failure.reason.startswith(reason)
    assert failure.advice.startswith(advice)
    assert bool(failure.bug) == (how == "bug")
    assert "Second b" not in bench.worked()
    _, failed = bench.run([First(bad="b", how=how), Beside(), Second()], workers=workers)
    assert bench.worked() == ["First b"], "a failure is not in the store: it is tried again, and it alone"


def test_make_does_only_the_named_stages(bench: Bench) -> None:
    done, failed = bench.run(ALL, only={"First"})
    assert {w.split()[0] for w in bench.worked()} == {"First"}
    assert not failed, "what comes after the named stages is not lacking"
    assert set(done["a"].files) == {"source", "one"}
    done, failed = bench.run(ALL, only={"Second"})
    assert not failed, "what it does not need is not asked for"
    assert done["c"].path("two").read_text() == "2 cc"
    assert {w.split()[0] for w in bench.worked()} == {"Second"}


def test_a_named_stage_that_lacks_something_says_so(bench: Bench) -> None:
    done, failed = bench.run(ALL, only={"Second"})
    assert not done
    said = {(f.stage, f.reason, f.advice) for f in failed.values()}
    assert said == {("Second", "one, told has not been made for it", "Type: deemo run, without --only")}
    assert bench.worked() == []


def test_a_clip_of_an_older_version_is_to_be_taken_in_again(bench: Bench) -> None:
    """Every clip of a project that was made before the sound of sources was measured lacks the fact `sound`."""

    @dataclass(frozen=True)
    class Listens(First):
        needs: ClassVar[tuple[str, ...]] = ("source", "sound")

    done, failed = bench.run([Listens()])
    assert not done
    assert {f.reason for f in failed.values()} == {"it was taken in by an earlier version of deemo, which did not note its sound"}
    assert {f.advice for f in failed.values()} == {"Type: deemo ingest again with the same sources, then deemo segment"}


def test_making_nothing_shows_how_far_each_clip_is(bench: Bench) -> None:
    bench.run([First()])
    (bench.root / "e").write_text("e")
    bench.clips.append(Clip("e", "e", 0, 10, {"source": File.of(bench.root / "e")}, dict(bench.clips[0].facts)))
    bench.worked()
    done, failed = bench.run(ALL, only=set())
    assert bench.worked() == []
    assert not failed
    assert {i: sorted(c.files) for i, c in done.items()} == {i: ["one", "source"] for i in "abcd"} | {"e": ["source"]}


def test_the_watcher_is_told_everything(bench: Bench) -> None:
    stages: list[tuple[str, int, int]] = []
    clips: list[str] = []
    watcher = Watcher(lambda *said: stages.append(said), clips.append)
    bench.run([First(bad="b", how="ours"), Second()], watcher=watcher)
    assert stages == [("First", 4, 0), ("Second", 3, 0)]
    assert clips == ["First"] * 4 + ["Second"] * 3
    bench.run([First(bad="b", how="ours"), Second()], watcher=watcher)
    assert stages[2:] == [("First", 4, 3), ("Second", 3, 3)]


def test_clips_of_the_same_bytes_share_their_work(bench: Bench) -> None:
    (bench.root / "copy").write_text("a")
    bench.clips.append(Clip("copy", "copy", 0, 10, {"source": File.of(bench.root / "copy")}, dict(bench.clips[0].facts)))
    done, _ = bench.run(ALL)
    assert done["copy"].files["two"] == done["a"].files["two"]
    assert len(bench.worked()) == 12


def test_the_order_is_checked() -> None:
    order.check_order([First(), Beside(), Second()], ["source", "log"])
    with pytest.raises(ConfigError, match=r"Second needs \['one', 'told'\]"):
        order.check_order([Second(), First()], ["source", "log"])
    with pytest.raises(ConfigError, match=r"First makes \['one', 'told'\], which is there already"):
        order.check_order([First(), First(times=3)], ["source", "log"])


def test_our_own_order_holds() -> None:
    order.check_order([stage() for stage in order.STAGE_ORDER], order.INITIAL_INPUTS)


def test_no_stage_works_beside_one_that_it_needs() -> None:
    stages = [stage() for stage in order.STAGE_ORDER]
    found = group_into_steps(stages)
    assert sorted(type(s).__name__ for step in found for s in step) == sorted(s.__name__ for s in order.STAGE_ORDER)
    have = set(order.INITIAL_INPUTS)
    for step in found:
        assert all(set(s.needs) <= have for s in step)
        have |= {name for s in step for name in (*s.makes, *s.tells)}
    assert len(found) < len(stages) / 2
    assert group_into_steps([]) == []


def test_two_stages_of_one_clip_work_at_the_same_time(bench: Bench) -> None:
    del bench.clips[1:]
    done, failed = bench.run([Meets("one", "two"), Greets("two", "one")], workers=2)
    assert not failed
    assert set(done["a"].files) == {"source", "met_one", "met_two"}


def test_a_clip_that_fails_in_two_stages_of_a_step_is_told_of_once_and_of_the_first(bench: Bench) -> None:
    stages = [First(bad="a", how="ours"), Meets("one", "two", patience=0)]
    for workers in (0, 2):
        done, failed = bench.run(stages, workers=workers)
        assert not done
        assert failed["a"].stage == "First"
        assert {f.stage for i, f in failed.items() if i != "a"} == {"Meets"}


def test_a_stage_of_the_source_is_done_once_for_all_its_clips(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deemo_data.pipeline.run.PER_SOURCE_STAGES", (First,))
    grid = Grid(Fraction(25), False, Fraction(0), 50, 64, 48).to_fact()
    a, b = (c.with_results({}, {"grid": grid}) for c in bench.clips[:2])
    bench.clips = [Clip.of_span(a, 0, 1000), Clip.of_span(a, 1000, 2000), Clip.of_span(b, 0, 1000)]
    done, failed = bench.run(ALL, workers=2)
    assert not failed
    worked = bench.worked()
    assert [w for w in worked if w.startswith("First")] in (["First a", "First b"], ["First b", "First a"])
    assert len(worked) == 2 + 3 + 3
    assert done["a-0-1000"].files["one"] == done["a-1000-2000"].files["one"] != done["b-0-1000"].files["one"]
    bench.run(ALL)
    assert bench.worked() == []
    assert done["a-1000-2000"].start_ms == 1000, "the clip stays a clip"


def test_when_it_fails_each_clip_of_the_source_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deemo_data.pipeline.run.PER_SOURCE_STAGES", (First,))
    grid = Grid(Fraction(25), False, Fraction(0), 50, 64, 48).to_fact()
    a, b = (c.with_results({}, {"grid": grid}) for c in bench.clips[:2])
    bench.clips = [Clip.of_span(a, 0, 1000), Clip.of_span(a, 1000, 2000), Clip.of_span(b, 0, 1000)]
    done, failed = bench.run([First(bad="a", how="ours"), *ALL[1:]], workers=1)
    assert set(done) == {"b-0-1000"}
    assert {i: f.reason for i, f in failed.items()} == dict.fromkeys(("a-0-1000", "a-1000-2000"), "clip a cannot be read")
