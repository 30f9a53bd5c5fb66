"""`deemo export --push REPO`: a checked dataset to a Hugging Face hub, going on where it stopped, and compared afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.layout import MANIFEST
from deemo_data.errors import DatasetError, NotReleasable

if TYPE_CHECKING:
    from huggingface_hub import HfApi


BATCH = 200  # files a commit: what is committed need not be sent again
THEIRS = {".gitattributes"}  # made by the hub
KIND = "dataset"

Watch = Callable[[int, int], None]  # files done, files in all


@dataclass(frozen=True)
class Pushed:
    """What was done: files sent now, files that were there already, files removed because they are not of this dataset."""

    repo: str
    address: str
    version: str
    sent: int
    there: int
    removed: int


@dataclass(frozen=True)
class Remote:
    """A file on the hub: its digest, sha256 where the hub stores it as a large file, else git's."""

    size: int
    sha256: str
    blob: str


def push(
    folder: Path, repo: str, *, endpoint: str | None = None, token: str | None = None, private: bool = True,
    watch: Watch = lambda done, all_: None,
) -> Pushed:  # fmt: skip
    """Send a dataset folder of ours: the files that its deemo.json names, deemo.json, and nothing else.

    The repository is made if it is not there: private, unless told otherwise, and asking whoever wants access where the card
    says so. One that exists keeps its visibility. Documents come last, so a push that stops half-way cannot be loaded; the
    same call goes on from there. When something was removed, the history is made one commit and the removed files are deleted
    for good: what somebody withdrew must not be had from an older commit.

    endpoint, token  else those that huggingface_hub knows (HF_ENDPOINT, HF_TOKEN, hf auth login)
    watch            told how many files are done, of how many

    Raises NotReleasable when `deemo validate` finds an error, DatasetError when the hub refuses or what is there afterwards
    is not what was sent.
    """
    from huggingface_hub import HfApi

    files = _checked(folder)
    api = HfApi(endpoint=endpoint, token=token)
    with _plain_errors(repo), _no_bars():
        address = str(api.create_repo(repo, repo_type=KIND, private=private, exist_ok=True))
        if "extra_gated_prompt:" in (folder / "README.md").read_text("utf-8").split("\n---\n")[0]:
            api.update_repo_settings(repo, repo_type=KIND, gated="manual")
        there = _tree(api, repo)
        wanted = [name for name, sha256 in files.items() if not _same(folder / name, sha256, there.get(name))]
        gone = sorted(there.keys() - files.keys() - THEIRS)
        _send(api, repo, folder, wanted, gone, len(files), watch)
        if gone:
            _forget_history(api, repo, set(files.values()))
        after = _tree(api, repo)
    _compare(repo, folder, files, after)
    version = str(json.loads((folder / MANIFEST).read_text("utf-8"))["version"])
    return Pushed(repo, address, version, len(wanted), len(files) - len(wanted), len(gone))


def _checked(folder: Path) -> dict[str, str]:
    """Path -> sha256 of what goes, tables and videos first, deemo.json last. Raises NotReleasable unless the folder is sound."""
    from deemo_data.dataset.layout import DOCUMENTS
    from deemo_data.dataset.validation.dataset import validate
    from deemo_data.files import File

    if wrong := [f for f in validate(folder) if f.level == "error"]:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise NotReleasable(f"{folder} has faults: {wrong[0].where}: {wrong[0].what}{more}", f"Type: deemo validate {folder}")
    if not (folder / MANIFEST).is_file():
        raise NotReleasable(f"{folder} has no {MANIFEST}: it is not a dataset that deemo exported", "Type: deemo export DIR")
    files: dict[str, str] = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    last = {name: n for n, name in enumerate(DOCUMENTS[::-1], 1)}  # the card after the other documents
    ordered = dict(sorted(files.items(), key=lambda kv: (last.get(kv[0], 0), kv[0])))
    return ordered | {MANIFEST: File.of(folder / MANIFEST).sha256}


def _send(api: HfApi, repo: str, folder: Path, wanted: Sequence[str], gone: Sequence[str], files: int, watch: Watch) -> None:
    """Commits of at most BATCH files; what is gone goes with the last one."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    done = files - len(wanted)
    watch(done, files)
    for first in range(0, max(len(wanted), 1 if gone else 0), BATCH):
        page = wanted[first : first + BATCH]
        last = first + BATCH >= len(wanted)
        adding = [CommitOperationAdd(name, str(folder / name)) for name in page]
        dropping = [CommitOperationDelete(name) for name in gone] if last else []
        api.create_commit(repo, [*adding, *dropping], commit_message="A dataset made by deemo_data", repo_type=KIND)
        done += len(page)
        watch(done, files)


def _forget_history(api: HfApi, repo: str, kept: set[str]) -> None:
    """One commit instead of many, and large files that are no longer part of it deleted for good."""
    api.super_squash_history(repo, repo_type=KIND, commit_message="A dataset made by deemo_data")
    left = [f for f in api.list_lfs_files(repo, repo_type=KIND) if f.file_oid not in kept]
    if left:
        api.permanently_delete_lfs_files(repo, left, repo_type=KIND)


def _tree(api: HfApi, repo: str) -> dict[str, Remote]:
    from huggingface_hub.hf_api import RepoFile

    return {
        f.path: Remote(f.size, f.lfs.sha256 if f.lfs else "", f.blob_id)
        for f in api.list_repo_tree(repo, recursive=True, repo_type=KIND)
        if isinstance(f, RepoFile)
    }


def _same(path: Path, sha256: str, remote: Remote | None) -> bool:
    if remote is None or remote.size != path.stat().st_size:
        return False
    return remote.sha256 == sha256 if remote.sha256 else remote.blob == git_digest(path)


def git_digest(path: Path) -> str:
    """What git calls a file of this content: sha1 of "blob", size, NUL and bytes."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _compare(repo: str, folder: Path, files: Mapping[str, str], after: Mapping[str, Remote]) -> None:
    wrong = [name for name, sha256 in files.items() if not _same(folder / name, sha256, after.get(name))]
    if wrong:
        raise DatasetError(f"{repo}: {wrong[0]} is not there as it was sent ({len(wrong)} such files)", "Push again")
    if strange := sorted(after.keys() - files.keys() - THEIRS):
        what = f"{repo}: {strange[0]} is there and is no part of this dataset ({len(strange)} such files)"
        raise DatasetError(what, "Did somebody else write there meanwhile? Push again")


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without a progress bar for each file: `watch` tells how far it is."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def _plain_errors(repo: str) -> Iterator[None]:
    """Errors of the hub and of the way to it as one of ours, without addresses that were signed or tokens."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    transport: type[Exception] = next(
        c for c in HfHubHTTPError.__mro__ if c.__name__ == "HTTPError"
    )  # of httpx, or of its successor
    try:
        yield
    except OfflineModeIsEnabled as e:
        raise DatasetError(f"{repo}: huggingface_hub is told to stay offline", "Unset HF_HUB_OFFLINE, then push again") from e
    except HFValidationError as e:
        raise DatasetError(f"{repo!r} is no name of a repository", "Give OWNER/NAME") from e
    except HfHubHTTPError as e:
        raise _refused(repo, e) from e
    except (transport, RuntimeError, ValueError, OSError) as e:
        cause = e.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise _refused(repo, cause) from e
        why = type(cause or e).__name__
        raise DatasetError(f"{repo}: the upload broke off ({why})", "Push again: it goes on from where it stopped") from e


def _refused(repo: str, error: Any) -> DatasetError:
    status = error.response.status_code if error.response is not None else 0
    said = f": {error.server_message.rstrip('.')}" if error.server_message else ""
    advice = {
        401: "Is the token right? Type: hf auth login, or set HF_TOKEN",
        403: "May this token write there? Make one that may, and push again",
        404: "Is the name right, OWNER/NAME, and may this token see it?",
    }.get(status, "Push again: it goes on from where it stopped")
    return DatasetError(f"{repo}: the hub refused ({status}){said}", advice)
