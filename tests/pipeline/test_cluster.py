"""Real clusters of real nodes on loopback: the same bytes, whoever dies on the way."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.makers.jobs import died, work
from tests.makers.ray_cluster import REPO, Cluster, children, environment, of_session, send, status
from tests.makers.runs import CONSENT, Made, stored

os.environ |= {k: v for k, v in environment().items() if k.startswith("RAY_")}  # read when ray is imported
pytest.importorskip("ray", reason="Ray is not installed: pip install 'deemo-data[ray]'")

from deemo_data.errors import ConfigError, ProjectError
from deemo_data.files import File
from deemo_data.pipeline import cluster as pipeline_cluster
from deemo_data.pipeline.cluster import ClusterCheck
from deemo_data.pipeline.entry import read_entry
from deemo_data.project.project import Project
from deemo_data.workflow import run as workflow_run
from deemo_data.workflow import segment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of ray, which leaves sockets to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
KILLS = int(os.environ.get("DEEMO_KILLS", "5"))
NODE_KILLS = range(1, int(os.environ.get("DEEMO_NODE_KILLS", "2")) * 2, 2)  # the node dies at its first, third, ... stage


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head and another node, one CPU each."""
    there = Cluster(tmp_path_factory.mktemp("r"))
    try:
        there.add()
        there.add()
        yield there
    finally:
        there.stop()
    assert there.processes() == [], "nothing is left of a cluster that was stopped"


@pytest.fixture(scope="module")
def made(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What two processes of this machine make of a second of two people each. Nobody changes it."""
    root = tmp_path_factory.mktemp("made")
    said = "uri,subject,known_names,consent,licence,start_ms,end_ms\n" + "".join(
        f"{media / 'video' / name},{name[:4]},,{CONSENT},,100,1000\n" for name in ("asl_eat.mkv", "grid_bbaf2n.mpg")
    )
    (root / "sources.csv").write_text(said)
    command = [sys.executable, "-m", "deemo_data.cli", "build", root / "project", root / "sources.csv"]
    run = subprocess.run(command, cwd=REPO, env=environment(), capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr
    return Made(root / "project", root / "sources.csv", 0, run.stdout)


@pytest.fixture
def terms(cluster: Cluster, tmp_path: Path) -> Iterator[ClusterCheck]:
    with pipeline_cluster.connect_cluster(cluster.address, tmp_path) as agreed:
        yield agreed
    assert list(tmp_path.glob(".ray.*")) == []


def deemo(cluster: Cluster, *said: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deemo_data.cli", *map(str, said), "--ray", cluster.address]
    return subprocess.Popen(command, cwd=REPO, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)  # fmt: skip


def fresh(made: Made, root: Path) -> Project:
    """A project with the sources, clips and secret of `made` that no stage has seen."""
    project = Project.make(root, "hardened")
    for name in ("private/secret.key", "private/subjects.csv", "sources.jsonl"):
        shutil.copyfile(made.root / name, root / name)
    segment.segment_sources(project)
    return project


def note(path: Path) -> Path:
    """It was begun here; then it takes a while."""
    (path.parent / f"{path.name}.{os.getsid(0)}.{os.getpid()}").touch()
    time.sleep(1)
    return path


def process_of(number: int) -> int:
    time.sleep(0.1)
    return os.getpid()


# ── one answer a clip ────────────────────────────────────────────────────────────────────────────────────────


def test_only_who_kills_a_worker_dies(terms: ClusterCheck) -> None:
    numbers = [27, 1, 17, 2, 7, 3, 37, 4, 5, 6]
    answers = list(pipeline_cluster.run_on_ray(work, numbers, 0, died, terms))
    assert sorted(answers) == sorted(-n if n % 10 == 7 else n * n for n in numbers)


def test_no_clips_is_no_work(terms: ClusterCheck) -> None:
    assert list(pipeline_cluster.run_on_ray(work, [], 0, died, terms)) == []


def test_clips_are_read_no_further_than_the_cluster_works(terms: ClusterCheck) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(500):
            taken.append(n)
            yield n

    results = pipeline_cluster.run_on_ray(process_of, numbers(), 0, died, terms)
    next(results)
    assert len(taken) <= pipeline_cluster.CLIPS_PER_CPU * 2
    for _ in range(9):
        next(results)
    assert 10 <= len(taken) <= 10 + pipeline_cluster.CLIPS_PER_CPU * 2
    results.close()  # type: ignore[attr-defined]


def test_processes_stay_with_their_models(terms: ClusterCheck, record_property: Any) -> None:
    pids = set(pipeline_cluster.run_on_ray(process_of, range(40), 0, died, terms))
    record_property("processes for 40 clips", len(pids))
    assert os.getpid() not in pids
    assert len(pids) <= 4, "one a CPU, and what Ray began too many"


def test_a_node_that_goes_takes_no_clip_along(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """kill -9 of all its processes, in the middle of its work."""
    there = Cluster(tmp_path_factory.mktemp("k"))
    try:
        there.add()
        there.add()
        with pipeline_cluster.connect_cluster(there.address, tmp_path) as terms:
            paths = [tmp_path / f"{n}" for n in range(12)]
            results = pipeline_cluster.run_on_ray(note, paths, 0, lambda p: p / "died", terms)
            answers = [next(results), next(results)]
            of_two = f".{there.nodes[1].pid}."
            until = time.monotonic() + 30
            before = {p.name for p in tmp_path.iterdir() if of_two in p.name}
            while not {p.name for p in tmp_path.iterdir() if of_two in p.name} - before:
                assert time.monotonic() < until, "the second node works too"
                time.sleep(0.05)
            there.kill(1)
            answers += results
        assert sorted(answers) == sorted(paths), "none died, none came twice"
        begun = [p.name.split(".")[0] for p in tmp_path.iterdir()]
        assert len(begun) > len(paths), "what the node was at was begun again"
    finally:
        there.stop()


def test_no_node_left_ends_the_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    there = Cluster(tmp_path_factory.mktemp("z"))
    try:
        there.add(cpus=0)
        there.add()
        with pipeline_cluster.connect_cluster(there.address, tmp_path) as terms:
            results = pipeline_cluster.run_on_ray(note, [tmp_path / f"{n}" for n in range(9)], 0, lambda p: p / "died", terms)
            assert next(results) in [tmp_path / f"{n}" for n in range(9)]
            there.kill(1)
            with pytest.raises(ProjectError, match="no node is left"):
                list(results)
    finally:
        there.stop()


# ── who may work ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["version", "weights"])
def test_a_node_that_is_not_like_us_does_nothing(how: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    there = Cluster(tmp_path_factory.mktemp("m"))
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as m\nold = m.version\nm.version = lambda n: '1.0' if n == 'av' else old(n)\n"
    )
    (tmp_path / "store").mkdir()
    env = {"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"} if how == "version" else {"DEEMO_MODELS": str(tmp_path)}
    says = r"would make other bytes: it has av 1\.0 instead of" if how == "version" else "lacks the weights .*deemo models pull"
    try:
        there.add()
        with pipeline_cluster.connect_cluster(there.address, tmp_path / "store") as terms:
            there.add(**env)
            with pytest.raises(ConfigError, match=says):  # it came later
                list(pipeline_cluster.run_on_ray(note, [tmp_path / f"{n}" for n in range(30)], 0, lambda p: p, terms))
        with pytest.raises(ConfigError, match=says), pipeline_cluster.connect_cluster(there.address, tmp_path / "store"):
            pytest.fail("it is here before us")
        assert [p for p in tmp_path.iterdir() if f".{there.nodes[1].pid}." in p.name] == []
    finally:
        there.stop()


def test_a_wrong_token_is_one_line(cluster: Cluster, tmp_path: Path) -> None:
    Project.make(tmp_path / "p")
    said = [sys.executable, "-m", "deemo_data.cli", "build", str(tmp_path / "p"), "nowhere.csv", "--ray", cluster.address]
    said[3:] = ["run", str(tmp_path / "p"), "--ray", cluster.address]
    (tmp_path / "p" / "sources.jsonl").touch()
    (tmp_path / "p" / "clips.jsonl").touch()
    run = subprocess.run(said, env=environment(RAY_AUTH_TOKEN="ab" * 32), capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "no Ray cluster can be used" in run.stderr


# ── real footage through real stages ─────────────────────────────────────────────────────────────────────────


def out_of(project: Project) -> dict[str, str]:
    return {p.relative_to(project.out_dir).as_posix(): File.of(p).sha256 for p in project.out_dir.rglob("*") if p.is_file()}


def test_the_same_bytes_as_here(cluster: Cluster, made: Made, tmp_path: Path) -> None:
    """`made` is of two processes. No log of Ray has the secret, in whatever form."""
    alone = fresh(made, tmp_path / "alone")
    workflow_run.run_project(alone, workers=0)
    assert stored(alone) == stored(made.project)
    project = Project.make(tmp_path / "ray", "hardened")
    shutil.copyfile(made.root / "private" / "secret.key", project.private_dir / "secret.key")
    run = deemo(cluster, "build", project.root, made.csv)
    _, err = run.communicate(timeout=400)
    assert run.returncode == 0, err
    assert stored(project) == stored(made.project)
    assert out_of(project) == out_of(made.project)
    logs = b"".join(p.read_bytes() for p in cluster.folder.rglob("*") if p.is_file())
    assert len(logs) > 1000
    assert project.secret.hex().encode() not in logs
    assert project.secret not in logs


def half_made(project: Project) -> set[Path]:
    """What was begun, and is neither done nor tidied away."""
    return {p for p in project.store_dir.glob("*/.*") if p.is_dir()}


def begun(project: Project) -> set[Path]:
    """Entries, and those half made."""
    return half_made(project) | set(project.store_dir.glob("[!.]*/[!.]*"))


def at_work(project: Project, pids: Iterable[int] | None = None) -> set[Path]:
    """Of what was begun, what somebody (of these processes) is at."""
    held = set()
    for pid in status() if pids is None else pids:
        with suppress(OSError):
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    held.add(Path(os.readlink(handle)))
    return half_made(project) & held


def check_no_half(project: Project, made: Made) -> None:
    """What stands under a final name is whole, and what is made elsewhere too."""
    for home in project.store_dir.glob("[!.]*/[!.]*"):
        entry = read_entry(home)
        assert entry is not None, home
        assert {p.name for p in home.iterdir()} == {"entry.json", *(f["name"] for f in entry["files"].values())}
    assert stored(project).items() <= stored(made.project).items()


def check_tidied(project: Project, ray: str | None = None) -> None:
    """What killed processes left aside goes by itself after a day, which is now."""
    for left in [*half_made(project), *project.store_dir.glob(".ray.*")]:
        os.utime(left, (1, 1))
    workflow_run.run_project(project, workers=0, ray=ray)
    assert half_made(project) == set()
    assert ray is None or list(project.store_dir.glob(".ray.*")) == []


@pytest.mark.timeout(400 + 60 * KILLS)
def test_a_killed_driver_goes_on_to_the_same_bytes(
    cluster: Cluster,
    made: Made,
    tmp_path: Path,
    record_property: Any,
) -> None:
    """kill -9 of a run (DEEMO_KILLS of them), alone and with its session by turns, a moment after some work was begun or done.

    Whenever it got through, from the start again.
    """
    dice, kills, during, rounds, left, longest = random.Random(11), 0, 0, 0, 0, 0.0
    project = fresh(made, tmp_path / "0")
    while True:
        run = deemo(cluster, "run", project.root)
        seen, wanted = begun(project), len(begun(project)) + dice.randint(1, 12)
        while run.poll() is None and (len(seen) < wanted or kills >= KILLS):
            seen |= begun(project)
            time.sleep(0.05)
        with suppress(subprocess.TimeoutExpired):
            run.wait(dice.uniform(0, 1))
        if run.poll() is not None:
            _, err = run.communicate()
            assert run.returncode == 0, err
            assert stored(project) == stored(made.project)
            left += len(half_made(project))
            check_tidied(project, cluster.address)
            rounds += 1
            if kills >= KILLS:
                break
            project = fresh(made, tmp_path / f"{rounds}")
            continue
        kills += 1
        during += bool(at_work(project))
        for pid in of_session(run.pid) if kills % 2 else [run.pid]:
            send(pid, signal.SIGKILL)
        killed = time.monotonic()
        run.communicate()
        if dice.random() < 0.5:  # else the next run begins while the workers of this one may still be there
            while at_work(project):
                assert time.monotonic() < killed + 60, "nobody works for a run that is gone"
                time.sleep(0.05)
            longest = max(longest, time.monotonic() - killed)
        check_no_half(project, made)
    time.sleep(10)  # nobody is left who would still change something
    assert at_work(project) == set()
    assert stored(project) == stored(made.project)
    said = f"{kills} kills, {during} with a stage at work, {rounds} rounds, {left} half made left aside, {longest:.1f} s to end"
    record_property("kills", said)
    sys.stderr.write(f"\n{said}\n")
    assert during >= kills / 2


@pytest.mark.parametrize("number", NODE_KILLS)
def test_a_node_that_goes_during_a_stage(
    number: int, made: Made, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, record_property: Any
) -> None:
    """kill -9 of the second of two nodes while it is at its nth stage of a clip: the first one does what is left."""
    project = fresh(made, tmp_path / "p")
    there = Cluster(tmp_path_factory.mktemp("n"))
    try:
        there.add()
        there.add()
        run = deemo(there, "run", project.root)
        seen: set[Path] = set()
        while True:
            assert run.poll() is None, f"the second node got no {number} stages to do"
            seen |= at_work(project, there.of(1))
            if len(seen) >= number:
                there.send(1, signal.SIGSTOP)  # else it might be done before it is killed
                if hit := at_work(project, there.of(1)):
                    break
                there.send(1, signal.SIGCONT)
            time.sleep(0.05)
        there.kill(1)
        record_property("killed at", [p.parent.name for p in hit])
        _, err = run.communicate(timeout=300)
        assert run.returncode == 0, err
        assert stored(project) == stored(made.project)
        assert half_made(project) == hit, "what the node left aside, and nothing of anybody else"
        check_tidied(project)
        assert stored(project) == stored(made.project)
    finally:
        there.stop()


@pytest.mark.parametrize("who", ["raylet", "gcs_server"])
def test_a_head_that_goes_ends_the_run(
    who: str, made: Made, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, record_property: Any
) -> None:
    """kill -9 of what the run is connected to, on its own machine or at the head, while the other node is at a stage."""
    project = fresh(made, tmp_path / "p")
    there = Cluster(tmp_path_factory.mktemp("h"))
    try:
        there.add()
        there.add()
        run = deemo(there, "run", project.root)
        while not at_work(project, there.of(1)):
            assert run.poll() is None
            time.sleep(0.05)
        for pid in there.of(0):
            if Path(f"/proc/{pid}/comm").read_text().strip() == who:
                send(pid, signal.SIGKILL)
        began = time.monotonic()
        _, err = run.communicate(timeout=200)
        record_property("seconds to end", round(time.monotonic() - began))
        assert run.returncode == 2
        assert "the head of the Ray cluster is gone. Start one and run again" in err
        assert list(project.store_dir.glob(".ray.*")) == []
        time.sleep(10)
        assert at_work(project) == set(), "nobody works for a run that is gone"
        check_no_half(project, made)
    finally:
        there.stop()
    workflow_run.run_project(project, workers=2)
    assert stored(project) == stored(made.project)


def test_the_same_bytes_on_a_cluster_of_ray_itself(
    made: Made, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ray.cluster_utils.Cluster`, as Ray's own tests use it: a head and one node, with a token as ever."""
    from ray.cluster_utils import Cluster as Theirs

    for name, value in environment(RAY_TMPDIR=str(tmp_path_factory.mktemp("c"))).items():
        monkeypatch.setenv(name, value)
    there = Theirs(shutdown_at_exit=False)
    try:
        for _ in range(2):
            there.add_node(num_cpus=1, node_ip_address="127.0.0.1", include_dashboard=False, object_store_memory=80_000_000)
        there.wait_for_nodes()
        raylets = [node.all_processes["raylet"][0].process.pid for node in there.list_all_nodes()]
        project = fresh(made, tmp_path / "p")
        run = deemo(there, "run", project.root)
        worked = set()
        while run.poll() is None:
            worked |= {n for n, raylet in enumerate(raylets) if at_work(project, children(raylet))}
            time.sleep(0.2)
        _, err = run.communicate()
        assert run.returncode == 0, err
        assert worked == {0, 1}, "both nodes had work"
        assert stored(project) == stored(made.project)
    finally:
        there.shutdown()


def test_ctrl_c_ends_the_run_and_what_it_gave_out(cluster: Cluster, made: Made, tmp_path: Path) -> None:
    project = fresh(made, tmp_path / "stopped")
    run = deemo(cluster, "run", project.root)
    until = time.monotonic() + 60
    while not list(project.store_dir.glob("TrackBody/.*.*")):
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=40)
    assert run.returncode == 130, err
    assert "goes on from here" in err
    assert "Traceback" not in err
    assert [p for p in project.store_dir.glob("*/.*") if p.name != ".lock"] == [], "what was begun is tidied away"
    until = time.monotonic() + 10
    while left := of_session(run.pid):
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.05)
    workflow_run.run_project(project, workers=2)
    assert stored(project) == stored(made.project)
