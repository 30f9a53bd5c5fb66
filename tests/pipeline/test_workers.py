"""Every clip gets an answer, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deemo_data.pipeline import cluster, environment
from deemo_data.pipeline.workers import run_locally
from deemo_data.project.project import Project
from tests.makers.jobs import died, work

pytestmark = pytest.mark.timeout(60)


def large(size: int) -> bytes:
    return b"x" * size


def process_of(number: int) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_clip_gets_its_answer(workers: int) -> None:
    numbers = [n for n in range(60) if n % 10 != 7]
    assert sorted(run_locally(work, numbers, workers, died)) == sorted(n * n for n in numbers)


def test_no_clips_start_no_process() -> None:
    assert list(run_locally(work, [], 2, died)) == []


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("numbers", [[7], [27, 17, 7], [7, 1, 2, 3], [1, 2, 3, 17], [27, 1, 17, 2, 7, 3, 37, 4]])
def test_only_who_kills_a_worker_dies(workers: int, numbers: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    answers = list(run_locally(work, numbers, workers, died))
    assert sorted(answers) == sorted(-n if n % 10 == 7 else n * n for n in numbers)


def test_answers_larger_than_a_pipe_come_through() -> None:
    sizes = [10_000_000, 1, 3_000_000, 70_000]
    assert sorted(len(x) for x in run_locally(large, sizes, 2, lambda n: b"")) == sorted(sizes)


def test_work_is_shared_and_is_not_done_here() -> None:
    pids = set(run_locally(process_of, range(12), 2, died))
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_clips_are_taken_one_at_a_time() -> None:
    taken: list[int] = []

    def numbers() -> object:
        for n in range(50):
            taken.append(n)
            yield n

    results = run_locally(work, numbers(), 1, died)  # type: ignore[arg-type]
    next(results)
    assert taken == [0], "a million clips need not lie in memory, nor in a queue"
    results.close()  # type: ignore[attr-defined]


def test_closing_early_ends_the_workers() -> None:
    results = run_locally(nap, [0, 600, 600], 2, died)
    assert next(results) == 0
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5


def nap(seconds: int) -> int:
    time.sleep(seconds)
    return seconds


def test_workers_end_when_the_run_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os, time\nfrom pathlib import Path\nfrom deemo_data.pipeline import workers\n"
        "def work(path):\n    Path(path).write_text(str(os.getpid()))\n    time.sleep(1)\n    return path\n"
        "if __name__ == '__main__':\n"
        f"    list(workers.run_locally(work, [r'{tmp_path}/a', r'{tmp_path}/b', r'{tmp_path}/c'], 2, str))\n"
    )
    run = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(Path(cluster.__file__).parents[2])})
    until = time.monotonic() + 20
    while not ((tmp_path / "a").exists() and (tmp_path / "b").exists()):
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.05)
    run.kill()
    run.wait()
    pids = [int((tmp_path / n).read_text()) for n in "ab"]
    until = time.monotonic() + 10
    while any(alive(p) for p in pids):
        assert time.monotonic() < until, "orphans stay in memory, models and all"
        time.sleep(0.05)
    assert not (tmp_path / "c").exists()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ctrl_c_ends_everything_at_once_and_tidily(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os, time\nfrom pathlib import Path\nfrom deemo_data.pipeline import workers\n"
        "def work(path):\n    Path(path).write_text(str(os.getpid()))\n"
        "    try:\n        time.sleep(60)\n    finally:\n        Path(path + '.tidied').touch()\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        f"        list(workers.run_locally(work, [r'{tmp_path}/a', r'{tmp_path}/b', r'{tmp_path}/c'], 2, str))\n"
        "    except KeyboardInterrupt:\n        print('stopped')\n"
    )
    run = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(Path(cluster.__file__).parents[2])},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 20
    while not ((tmp_path / "a").exists() and (tmp_path / "b").exists()):
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, err = run.communicate(timeout=10)
    assert (out, err) == ("stopped\n", ""), "no traceback of a worker"
    assert (tmp_path / "a.tidied").exists()
    assert (tmp_path / "b.tidied").exists()
    assert not (tmp_path / "c").exists()


# ── Ray: what can be known without it. The rest is in test_ray.py ───────────────────────────────────────────────


def test_without_ray_it_says_what_to_install(tmp_path: Path) -> None:
    Project.make(tmp_path / "p")
    for name in ("sources.jsonl", "clips.jsonl"):
        (tmp_path / "p" / name).touch()
    script = (
        "import sys\nsys.modules['ray'] = None\nsys.argv = ['deemo', *sys.argv[1:]]\nfrom deemo_data.cli import main\nmain()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, "run", str(tmp_path / "p"), "--ray", "127.0.0.1:1"], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(cluster.__file__).parents[2])},
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr == "deemo: --ray needs Ray, which is not installed. Type: pip install 'deemo-data[ray]'\n"


@pytest.fixture
def terms(tmp_path: Path) -> cluster.ClusterCheck:
    (tmp_path / "proof").write_text("word")
    return cluster.ClusterCheck(tuple(environment.describe_environment().items()), (), tmp_path / "proof", "word")


def test_this_machine_is_like_itself(terms: cluster.ClusterCheck) -> None:
    assert cluster.describe_difference(terms) == ""


@pytest.mark.parametrize("name", ["av", "ffmpeg", "deemo-data", "the code of deemo_data", "python", "machine"])
def test_other_versions_are_named(terms: cluster.ClusterCheck, name: str) -> None:
    versions = tuple((n, "0.0" if n == name else v) for n, v in terms.versions)
    assert f"{name} {dict(terms.versions)[name]} instead of 0.0" in cluster.describe_difference(replace(terms, versions=versions))


def test_weights_that_are_not_here_are_named(terms: cluster.ClusterCheck) -> None:
    assert "lacks the weights nobody-000000" in cluster.describe_difference(replace(terms, weights=("nobody-000000",)))


@pytest.mark.parametrize("how", ["another", "none"])
def test_another_store_under_the_same_path_is_found_out(terms: cluster.ClusterCheck, how: str) -> None:
    if how == "none":
        terms.proof_file.unlink()
    else:
        terms.proof_file.write_text("of the run before")
    assert "all nodes must share it" in cluster.describe_difference(terms)
