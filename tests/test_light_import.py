"""`deemo --help` is quick because it loads next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
LIGHT = {"click", "deemo_data"}  # beside the standard library
SCRIPT = """
import json, sys
sys.argv = ["deemo", *{said!r}]
try:
    from deemo_data.cli import main
    main()
except SystemExit as e:
    code = e.code
print("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def modules_after(*said: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-S", "-c", SITE + SCRIPT.format(said=list(said))], cwd=REPO, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(REPO)},
    )  # fmt: skip
    code, names = json.loads(run.stdout.splitlines()[-1])
    assert not code, run.stderr
    return {n.split(".")[0] for n in names}


# Without `site`, so that what the .pth files of the environment import is not laid at our door.
SITE = f"import sys; sys.path += {[p for p in sys.path if 'site-packages' in p]!r}\n"


@pytest.mark.parametrize("said", [["--help"], ["run", "--help"], ["models", "--help"], ["--version"]], ids=" ".join)
def test_help_loads_nothing_heavy(said: list[str]) -> None:
    loaded = modules_after(*said)
    foreign = {n for n in loaded if n not in sys.stdlib_module_names and not n.startswith("_")}
    if said == ["--version"]:
        foreign -= {"importlib_metadata"}
    assert foreign <= LIGHT, foreign - LIGHT


def test_importing_the_core_loads_nothing_heavy() -> None:
    """The modules that every worker and every command loads may load pydantic, and no more."""
    script = (
        SITE + "import deemo_data.pipeline.run, deemo_data.pipeline.store, deemo_data.project.release\n"
        "from deemo_data.media import frames, probe, sound, encode\n"
        "from deemo_data.tracks import body, faces, hands\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=REPO, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(REPO)},
    )  # fmt: skip
    loaded = {n.split(".")[0] for n in json.loads(run.stdout)}
    heavy = {
        "numpy",
        "av",
        "cv2",
        "pandas",
        "pyarrow",
        "datasets",
        "mediapipe",
        "onnxruntime",
        "insightface",
        "scipy",
        "rich",
        "httpx",
    }
    assert not loaded & heavy


def test_how_long_help_takes(record_property: Callable[[str, object], None]) -> None:
    """Reported and not judged: the machine may be busy. Idle it is to be under 0.3 s."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "deemo_data.cli", "--help"], cwd=REPO, capture_output=True, check=True,
                   env=os.environ | {"PYTHONPATH": str(REPO)})  # fmt: skip
    record_property("deemo --help, seconds", round(time.perf_counter() - began, 3))
