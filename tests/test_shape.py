"""The shape of the package, as a test: the rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGE = REPO / "deemo_data"
MODULES = sorted(PACKAGE.rglob("*.py"))

RUNTIMES = {
    "onnxruntime", "mediapipe", "insightface", "onnx", "torch", "faster_whisper", "ctranslate2", "spacy", "presidio_analyzer",
    "dlib",
}  # fmt: skip
HEAVY = RUNTIMES | {
    "accelerate", "peft", "safetensors", "tokenizers",
    "av", "cv2", "datasets", "ffmpeg", "httpx", "huggingface_hub", "imageio_ffmpeg", "label_studio_sdk", "numpy", "pandas",
    "jellyfish", "legal_eval", "matplotlib", "mlcroissant", "pyannote", "pyarrow", "rapidfuzz", "ray", "rich",
    "scenedetect", "scipy",
    "sklearn", "soundfile", "transformers", "vaderSentiment", "yt_dlp",
}  # fmt: skip
TORCH = "baseline/llama/"  # imported when a model is asked for
ONLY_IN = {
    "subprocess": {"media/ffmpeg.py", "models/runtime/weights.py", "annotation/label_studio/local_server.py"},
    "ray": {"pipeline/cluster.py"},
}
CATCHES_ALL = "pipeline/run.py"  # the one place where a clip's failure is caught, whatever it is
MAX_LINES = 500


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING"


def imports(tree: ast.AST, at_import: bool) -> Iterator[tuple[int, str]]:
    """(line, top-level name) of absolute imports; with `at_import`, only those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name.split(".")[0]) for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, (node.module or "").split(".")[0]
        elif is_type_checking(node) or (at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            continue
        yield from imports(node, at_import)


def faults(name: str, text: str) -> list[str]:
    """What is wrong with a module of that name, relative to the package."""
    tree, found = ast.parse(text), []
    in_models = name.startswith(("models/", TORCH))
    if text.count("\n") > MAX_LINES:
        found.append(f"over {MAX_LINES} lines: is it two subjects?")
    first = (ast.get_docstring(tree) or "").split("\n")[0]
    if text and not re.search(r"\w.*[.:)]$", first):
        found.append("its first line is not a sentence that says what it is for")
    for line, top in imports(tree, at_import=False):
        if top in ONLY_IN and name not in ONLY_IN[top]:
            found.append(f"line {line}: {top} only in {ONLY_IN[top]}")
        if top in RUNTIMES and not in_models:
            found.append(f"line {line}: {top} only in models/")
    if not in_models:
        found += [f"line {line}: import {top} where it is used" for line, top in imports(tree, at_import=True) if top in HEAVY]
    for node in ast.walk(tree):
        here = f"line {getattr(node, 'lineno', 0)}:"
        match node:
            case ast.Global():
                found.append(f"{here} no global state")
            case ast.Assert():
                found.append(f"{here} assert is for tests: raise an error that names the file")
            case ast.ExceptHandler():
                caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                broad = any(c is None or getattr(c, "id", "") in {"Exception", "BaseException"} for c in caught)
                passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                if broad and not passed_on and name != CATCHES_ALL:
                    found.append(f"{here} name the exception")
            case ast.Raise():
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if getattr(raised, "id", "") in {"Exception", "BaseException"}:
                    found.append(f"{here} raise one of errors.py")
            case ast.Call(func=ast.Name(id="print")):
                found.append(f"{here} click.echo it, or say it to whoever called")
            case ast.ClassDef():
                bases = {getattr(b, "id", getattr(b, "attr", "")) for b in node.bases}
                if re.match("(Base|Abstract)[A-Z_]", node.name) or bases & {"ABC", "ABCMeta"}:
                    found.append(f"{here} {node.name}: a Protocol, or a function")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module(path: Path) -> None:
    assert faults(path.relative_to(PACKAGE).as_posix(), path.read_text()) == []


def test_the_package_is_found() -> None:
    assert len(MODULES) > 20


GOOD = '"""What it is for."""\n\nfrom __future__ import annotations\n'


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("a.py", "x = 1\n" * MAX_LINES, "is it two subjects?"),
        ("a.py", "from abc import ABC\nclass Thing(ABC): ...\n", "a Protocol"),
        ("a.py", "import abc\nclass Thing(abc.ABC): ...\n", "a Protocol"),
        ("a.py", "class BaseStage: ...\n", "a Protocol"),
        ("a.py", "def f():\n    global x\n    x = 1\n", "no global"),
        ("a.py", "try:\n    f()\nexcept Exception:\n    pass\n", "name the exception"),
        ("a.py", "try:\n    f()\nexcept:\n    pass\n", "name the exception"),
        ("stages/a.py", "try:\n    f()\nexcept (OSError, Exception):\n    pass\n", "name the exception"),
        ("a.py", "try:\n    f()\nexcept BaseException:\n    raise ValueError\n", "name the exception"),
        ("a.py", "raise Exception('no')\n", "raise one of"),
        ("a.py", "def f(x):\n    print(x)\n", "click.echo"),
        ("a.py", "def f(x):\n    assert x\n", "assert is for tests"),
        ("a.py", "def f():\n    import subprocess\n", "subprocess only in"),
        ("models/a.py", "from subprocess import run\n", "subprocess only in"),
        ("a.py", "def f():\n    import ray\n", "ray only in"),
        ("stages/a.py", "def f():\n    import onnxruntime\n", "only in models/"),
        ("a.py", "def f():\n    from mediapipe.tasks import python\n", "only in models/"),
        ("a.py", "import numpy as np\n", "where it is used"),
        ("stages/a.py", "if True:\n    import cv2\n", "where it is used"),
        ("a.py", "class A:\n    import pyarrow.parquet\n", "where it is used"),
        ("a.py", "try:\n    from datasets import Dataset\nexcept ImportError:\n    pass\n", "where it is used"),
    ],
)
def test_the_rules_can_fail(name: str, more: str, says: str) -> None:
    assert any(says in fault for fault in faults(name, GOOD + more)), faults(name, GOOD + more)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", ""),
        ("a.py", GOOD + "def f():\n    import numpy\n    import cv2\n"),
        ("a.py", GOOD + "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy as np\n    import onnxruntime\n"),
        ("models/a.py", GOOD + "import cv2\nimport onnxruntime\n"),
        ("a.py", GOOD + "from deemo_data.models import mediapipe, insightface\n"),
        ("a.py", GOOD + "try:\n    f()\nexcept BaseException:\n    tidy()\n    raise\n"),
        (CATCHES_ALL, GOOD + "try:\n    f()\nexcept Exception:\n    pass\n"),
    ],
)
def test_the_rules_can_hold(name: str, text: str) -> None:
    assert faults(name, text) == []


@pytest.mark.parametrize("text", ["x = 1\n", '"""no sentence"""\n'])
def test_a_module_says_what_it_is_for(text: str) -> None:
    assert "sentence" in faults("a.py", text)[0]


# Put together here, so that this file does not hold them.
PLACES = [
    "/" + "work/", "/" + "tmp/w/", "/" + "root/", "/" + "opt/pypi", "/" + "opt/wheels", "pypi" + ".org", "python" + "hosted",
    "proxy" + ".golang", "registry" + ".npmjs", "devpi" + ".net", "/" + "Users/",
]  # fmt: skip


def tracked() -> list[Path]:
    """What git has, or would take in."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [p for n in listed.stdout.split("\0") if n and (p := REPO / n).is_file()]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(REPO)}: {place}" for place in PLACES if place in text]
    assert found == []


def test_no_weights_and_no_footage_are_in_the_repository() -> None:
    large = [p.relative_to(REPO) for p in tracked() if p.stat().st_size > 500_000]
    endings = (".onnx", ".tflite", ".pt", ".task", ".mp4", ".mkv", ".mov", ".wav", ".flac", ".key")
    assert large == []
    assert [p.relative_to(REPO) for p in tracked() if p.name.endswith(endings)] == []


def test_stages_keep_their_shape() -> None:
    from dataclasses import fields

    from deemo_data.pipeline import order

    for stage in order.STAGE_ORDER:
        made = stage()  # every parameter has a default: a table of deemo.toml may be empty
        assert stage.__dataclass_params__.frozen, stage  # type: ignore[attr-defined]
        assert {"version", "needs", "makes", "tells"}.isdisjoint(f.name for f in fields(made))
        assert isinstance(made.version, int)
        assert isinstance(made.needs, tuple)
        assert set(made.makes).isdisjoint(made.tells)
        assert "secret" not in {f.name for f in fields(made)}, "a secret is never a parameter"
        assert (stage.__doc__ or "").strip()
    order.check_order([stage() for stage in order.STAGE_ORDER], order.INITIAL_INPUTS)
