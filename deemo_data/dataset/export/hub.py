"""Uploads a dataset to a Hugging Face hub: `deemo export --push REPO`.

The dataset is validated first. Only files that differ are sent, so that an interrupted upload goes on from where it stopped. At
the end, the digests of all files on the hub are compared with those of the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.layout import DOCUMENTS, MANIFEST
from deemo_data.dataset.validation.dataset import validate_dataset
from deemo_data.errors import DatasetError, NotReleasable
from deemo_data.files import File

if TYPE_CHECKING:
    from huggingface_hub import HfApi


FILES_PER_COMMIT = 200  # committed files need not be sent again after an interruption
HUB_FILES = {".gitattributes"}  # files that the hub itself makes
REPO_TYPE = "dataset"

OnProgress = Callable[[int, int], None]  # (files done, files in total)


@dataclass(frozen=True)
class UploadResult:
    """What an upload did: files sent, files that were on the hub already, files removed from it."""

    repo: str
    address: str
    version: str
    files_sent: int
    files_unchanged: int
    files_removed: int


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub. Large files have a sha256, others (sha256 empty) only the digest of their git blob."""

    size: int
    sha256: str
    blob: str


def push_dataset(
    folder: Path, repo: str, *, endpoint: str | None = None, token: str | None = None, private: bool = True,
    on_progress: OnProgress = lambda done, all_: None,
) -> UploadResult:  # fmt: skip
    """Upload a dataset folder that we wrote: deemo.json and the files that it names, nothing else.

    A new repository is private unless `private` is False, and gated (people must ask for access) if the card says so. An
    existing one keeps its visibility. Documents are sent last, so that a half-uploaded dataset cannot be loaded. The same call
    continues an interrupted upload. When files are removed, the history becomes a single commit and the files are deleted
    permanently: withdrawn clips must not be available from an older commit.

    endpoint, token  default to those that huggingface_hub knows (HF_ENDPOINT, HF_TOKEN, hf auth login)
    on_progress      called with the number of files done, and of all files

    Raises NotReleasable when `validate_dataset` finds an error, DatasetError when the hub refuses, or when its files differ from
    ours afterwards.
    """
    from huggingface_hub import HfApi

    files = _list_checked_files(folder)
    api = HfApi(endpoint=endpoint, token=token)
    with _translate_hub_errors(repo), _hide_progress_bars():
        address = str(api.create_repo(repo, repo_type=REPO_TYPE, private=private, exist_ok=True))
        if "extra_gated_prompt:" in (folder / "README.md").read_text("utf-8").split("\n---\n")[0]:
            api.update_repo_settings(repo, repo_type=REPO_TYPE, gated="manual")
        before = _list_remote_files(api, repo)
        wanted = [name for name, sha256 in files.items() if not _is_same_file(folder / name, sha256, before.get(name))]
        removed = sorted(before.keys() - files.keys() - HUB_FILES)
        _commit_files(api, repo, folder, wanted, removed, len(files), on_progress)
        if removed:
            _erase_history(api, repo, set(files.values()))
        after = _list_remote_files(api, repo)
    _check_upload(repo, folder, files, after)
    version = str(json.loads((folder / MANIFEST).read_text("utf-8"))["version"])
    return UploadResult(
        repo=repo, address=address, version=version, files_sent=len(wanted), files_unchanged=len(files) - len(wanted),
        files_removed=len(removed),
    )  # fmt: skip


def _list_checked_files(folder: Path) -> dict[str, str]:
    """Path -> sha256 of the files to upload: tables and videos first, deemo.json last.

    Raises NotReleasable unless the folder is sound.
    """
    if wrong := [f for f in validate_dataset(folder) if f.level == "error"]:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise NotReleasable(f"{folder} has faults: {wrong[0].where}: {wrong[0].what}{more}", f"Type: deemo validate {folder}")
    if not (folder / MANIFEST).is_file():
        raise NotReleasable(f"{folder} has no {MANIFEST}: it is not a dataset that deemo exported", "Type: deemo export DIR")
    files: dict[str, str] = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    rank = {name: n for n, name in enumerate(DOCUMENTS[::-1], 1)}  # the card after the other documents
    ordered = dict(sorted(files.items(), key=lambda kv: (rank.get(kv[0], 0), kv[0])))
    return ordered | {MANIFEST: File.of(folder / MANIFEST).sha256}


def _commit_files(
    api: HfApi, repo: str, folder: Path, wanted: Sequence[str], removed: Sequence[str], files: int, on_progress: OnProgress
) -> None:
    """Send files in commits of at most FILES_PER_COMMIT. The last commit also removes the files in `removed`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    done = files - len(wanted)
    on_progress(done, files)
    for first in range(0, max(len(wanted), 1 if removed else 0), FILES_PER_COMMIT):
        batch = wanted[first : first + FILES_PER_COMMIT]
        is_last = first + FILES_PER_COMMIT >= len(wanted)
        additions = [CommitOperationAdd(name, str(folder / name)) for name in batch]
        deletions = [CommitOperationDelete(name) for name in removed] if is_last else []
        api.create_commit(repo, [*additions, *deletions], commit_message="A dataset made by deemo_data", repo_type=REPO_TYPE)
        done += len(batch)
        on_progress(done, files)


def _erase_history(api: HfApi, repo: str, kept: set[str]) -> None:
    """Make the history a single commit, and delete large files permanently unless their sha256 is in `kept`."""
    api.super_squash_history(repo, repo_type=REPO_TYPE, commit_message="A dataset made by deemo_data")
    if unwanted := [f for f in api.list_lfs_files(repo, repo_type=REPO_TYPE) if f.file_oid not in kept]:
        api.permanently_delete_lfs_files(repo, unwanted, repo_type=REPO_TYPE)


def _list_remote_files(api: HfApi, repo: str) -> dict[str, RemoteFile]:
    from huggingface_hub.hf_api import RepoFile

    return {
        f.path: RemoteFile(f.size, f.lfs.sha256 if f.lfs else "", f.blob_id)
        for f in api.list_repo_tree(repo, recursive=True, repo_type=REPO_TYPE)
        if isinstance(f, RepoFile)
    }


def _is_same_file(path: Path, sha256: str, remote: RemoteFile | None) -> bool:
    if remote is None or remote.size != path.stat().st_size:
        return False
    return remote.sha256 == sha256 if remote.sha256 else remote.blob == git_blob_digest(path)


def git_blob_digest(path: Path) -> str:
    """The id that git gives to a file with this content: sha1 of "blob", its size, NUL and its bytes."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _check_upload(repo: str, folder: Path, files: Mapping[str, str], after: Mapping[str, RemoteFile]) -> None:
    """Compare the files on the hub with those that were sent."""
    wrong = [name for name, sha256 in files.items() if not _is_same_file(folder / name, sha256, after.get(name))]
    if wrong:
        raise DatasetError(f"{repo}: {wrong[0]} is not there as it was sent ({len(wrong)} such files)", "Push again")
    if strange := sorted(after.keys() - files.keys() - HUB_FILES):
        what = f"{repo}: {strange[0]} is there and is no part of this dataset ({len(strange)} such files)"
        raise DatasetError(what, "Did somebody else write there meanwhile? Push again")


@contextmanager
def _hide_progress_bars() -> Iterator[None]:
    """Hide the progress bars of huggingface_hub: `on_progress` reports the progress."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_enabled = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if were_enabled:
            enable_progress_bars()


@contextmanager
def _translate_hub_errors(repo: str) -> Iterator[None]:
    """Turn errors of the hub and of the network into DatasetError, without tokens and signed addresses."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    # HTTPError of httpx, or of its successor
    network_error: type[Exception] = next(c for c in HfHubHTTPError.__mro__ if c.__name__ == "HTTPError")
    try:
        yield
    except OfflineModeIsEnabled as e:
        raise DatasetError(f"{repo}: huggingface_hub is told to stay offline", "Unset HF_HUB_OFFLINE, then push again") from e
    except HFValidationError as e:
        raise DatasetError(f"{repo!r} is no name of a repository", "Give OWNER/NAME") from e
    except HfHubHTTPError as e:
        raise _refusal_error(repo, e) from e
    except (network_error, RuntimeError, ValueError, OSError) as e:
        cause = e.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise _refusal_error(repo, cause) from e
        kind = type(cause or e).__name__
        raise DatasetError(f"{repo}: the upload broke off ({kind})", "Push again: it goes on from where it stopped") from e


def _refusal_error(repo: str, error: Any) -> DatasetError:
    status = error.response.status_code if error.response is not None else 0
    message = f": {error.server_message.rstrip('.')}" if error.server_message else ""
    advice = {
        401: "Is the token right? Type: hf auth login, or set HF_TOKEN",
        403: "May this token write there? Make one that may, and push again",
        404: "Is the name right, OWNER/NAME, and may this token see it?",
    }.get(status, "Push again: it goes on from where it stopped")
    return DatasetError(f"{repo}: the hub refused ({status}){message}", advice)
