"""Yt-dlp behind a fence."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import sys
import uuid
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deemo_data.errors import DeemoError, SourceError
from deemo_data.files import File, sync_to_disk, write_if_changed

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


MAX_BYTES = 8 * 2**30
MAX_SECONDS = 3600
MOST_SAID = 2**20
STALL_SECONDS = 30  # without a single byte
SECRETS = "auth|credential|key|pass|secret|sig|token"  # in the name of a part of an address: its value lets people in
ANYWHERE = ("0.0.0.0/0", "::/0")


def is_address(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))


def download(
    url: str, folder: Path, allow_local_addresses: bool = False, *, max_bytes: int = MAX_BYTES, max_seconds: int = MAX_SECONDS
) -> Path:
    """The video at an http(s) address, as a file in `folder` that is named by its digest; not fetched again if it is there.

    Raises SourceError when the address, or one it leads to, is private, loopback or otherwise not public, and when the
    video is larger or takes longer than allowed.
    """
    try:
        return fetch(url, folder, ANYWHERE if allow_local_addresses else (), max_bytes=max_bytes, max_seconds=max_seconds)
    except SourceError as e:
        raise SourceError(e.what.replace(url, shown(url)), e.advice) from None  # what came before says the whole address


def shown(url: str) -> str:
    """An address as reports and terminals may show it: without a user, a password, or values that are named like secrets."""
    url = re.sub(r"^(\w+://)[^/?#]*@", r"\1…@", url, flags=re.IGNORECASE)
    return re.sub(rf"([?&#][^=&#]*(?:{SECRETS})[^=&#]*=)[^&#]*", r"\1…", url, flags=re.IGNORECASE)


def fetch(
    url: str, folder: Path, open_to: tuple[str, ...], *, max_bytes: int = MAX_BYTES, max_seconds: int = MAX_SECONDS
) -> Path:
    """As `download`, with the networks that may be reached besides the public ones."""
    listed = _listed(folder)
    if url in listed and (folder / listed[url]).is_file():
        return folder / listed[url]
    check_host(url, open_to)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder / f".{uuid.uuid4().hex[:12]}"
    aside.mkdir(mode=0o700)
    try:
        got = _in_own_process(url, aside, open_to, max_bytes, max_seconds)
        kept = folder / f"{File.of(got).sha256}{got.suffix.lower()}"
        sync_to_disk(got)
        got.replace(kept)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    with open(folder / ".lock", "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        write_if_changed(folder / "downloads.json", json.dumps(_listed(folder) | {url: kept.name}, indent=1, sort_keys=True))
    return kept


def _listed(folder: Path) -> dict[str, str]:
    path = folder / "downloads.json"
    listed: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return listed


# ── where it may connect to ──────────────────────────────────────────────────────────────────────────────────


def check_host(url: str, open_to: tuple[str, ...] = ()) -> None:
    """Refuse, before anything is asked of it, an address that does not lead to public hosts only."""
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError as e:
        raise SourceError(f"{url} is not an address: {e}", "Check it and run again") from e
    if not is_address(url) or not host:
        raise SourceError(f"{url}: only http and https addresses can be fetched", "Download it yourself and give the file")
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)}
    except OSError as e:
        raise SourceError(f"{url}: the host {host} cannot be found", "Check the address and the network, and run again") from e
    for address in sorted(found):
        if not may_reach(address, open_to):
            raise SourceError(_not_public(url, address), "Download it yourself and give the file")


def may_reach(address: str, open_to: tuple[str, ...] = ()) -> bool:
    """Whether an IP address is public, or in one of the networks `open_to`. A name is not: it must be resolved first."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if any(ip in ipaddress.ip_network(network) for network in open_to):
        return True
    inner = _carried(ip)
    return ip.is_global and not ip.is_multicast and (inner is None or may_reach(str(inner)))


def _carried(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to, if it does: mapped, 6to4, Teredo or NAT64."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _not_public(url: str, address: str) -> str:
    return f"{url} leads to {address}, which is not a public address"


def _watch(url: str, open_to: tuple[str, ...], refused: list[str]) -> None:
    """From now on, and for good, this process connects to addresses it may reach only, and starts no program that
    is given an address. It is Python that asks here, at each connection, so that redirects, names that resolve
    differently the second time, and whatever an extractor does, are all seen.
    """

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = args[1][0] if isinstance(args[1], tuple) and args[1] else args[1]
            if not may_reach(str(address), open_to):
                refused.append(_not_public(url, str(address)))
                raise PermissionError(refused[-1])
        elif event in ("os.system", "os.exec", "os.posix_spawn", "os.startfile"):
            raise PermissionError(f"{url}: {event} is not allowed here")
        elif event == "subprocess.Popen" and "://" in str(args[1]):
            raise PermissionError(f"{url}: a program that would fetch by itself is not allowed here")

    sys.addaudithook(audit)


# ── the process that fetches ─────────────────────────────────────────────────────────────────────────────────


def _in_own_process(url: str, aside: Path, open_to: tuple[str, ...], max_bytes: int, max_seconds: int) -> Path:
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(there, url, aside, open_to, max_bytes))
    process.start()
    there.close()
    try:
        late = [f"{url} was not there after {max_seconds} s", "Download it yourself and give the file"]
        said = json.loads(here.recv_bytes(MOST_SAID)) if here.poll(max_seconds) else late  # JSON: it talked to strangers
    except (EOFError, OSError, ValueError):
        said = [f"{url}: the process that fetched it died", "Run again"]
    finally:
        _end(process)
    if isinstance(said, list):
        raise SourceError(*said)
    return aside / Path(said).name


def _end(process: BaseProcess) -> None:
    """End the child and what it may have started: it leads a process group of its own."""
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _child(answer: Connection, url: str, aside: Path, open_to: tuple[str, ...], max_bytes: int) -> None:
    import resource

    os.setsid()
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    try:
        said: str | list[str] = str(_fetched(url, aside, open_to, max_bytes))
    except DeemoError as e:
        said = [e.what, e.advice]
    answer.send_bytes(json.dumps(said).encode())


def _fetched(url: str, aside: Path, open_to: tuple[str, ...], max_bytes: int) -> Path:
    try:
        import yt_dlp
        from yt_dlp.networking._urllib import UrllibRH
    except ImportError as e:
        raise SourceError(f"{url}: yt-dlp is needed to fetch it", "Type: pip install 'deemo_data[download]'") from e
    from deemo_data.media.ffmpeg import ffmpeg_binary

    class Downloader(yt_dlp.YoutubeDL):  # type: ignore[misc]
        def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
            return super().build_request_director([UrllibRH], preferences)  # the only one whose connections we see

    too_large = SourceError(f"{url} is larger than {max_bytes} bytes", "Download it yourself and give the file")
    refused: list[str] = []
    options = {
        "quiet": True, "no_warnings": True, "noprogress": True, "logger": _Silent(), "cachedir": False, "proxy": "",
        "paths": {"home": str(aside)}, "outtmpl": "video.%(ext)s", "max_filesize": max_bytes, "socket_timeout": STALL_SECONDS,
        "retries": 2, "extractor_retries": 1, "noplaylist": True, "extract_flat": "in_playlist", "hls_prefer_native": True,
        "format": "bv*[protocol^=http]+ba[protocol^=http]/b[protocol^=http]/bv*+ba/b", "ffmpeg_location": ffmpeg_binary(),
        "updatetime": False, "writethumbnail": False, "enable_file_urls": False,
    }  # fmt: skip
    _watch(url, open_to, refused)
    try:
        with Downloader(options) as ydl:
            info = ydl.extract_info(url, download=False)
            if info.get("_type", "video") != "video":
                raise SourceError(f"{url} is a list of videos", "Give the address of each video, in a CSV")
            if info.get("is_live"):
                raise SourceError(f"{url} is a live stream", "Record it yourself and give the file")
            ydl.process_ie_result(info, download=True)
    except (yt_dlp.utils.YoutubeDLError, yt_dlp.networking.exceptions.RequestError, OSError) as e:
        if refused:
            raise SourceError(refused[-1], "Download it yourself and give the file") from e
        if "File too large" in str(e):
            raise too_large from e
        reason = str(e).removeprefix("ERROR: ").split("; please report")[0]
        raise SourceError(
            f"{url} cannot be fetched: {reason}", "Check the address, or download it yourself and give the file"
        ) from e
    made = [p for p in aside.iterdir() if p.is_file() and p.suffix not in (".part", ".ytdl")]
    if not made:
        raise too_large
    return max(made, key=lambda p: p.stat().st_size)


class _Silent:
    """Takes what yt-dlp has to say; what matters comes as an exception."""

    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


def from_downloads(folder: Path, ours: Iterable[Path], sources: set[str]) -> None:
    """Delete footage of ours, and the addresses that it came from."""
    for path in ours:
        path.unlink(missing_ok=True)
    listed = folder / "downloads.json"
    if listed.exists():
        kept = {url: name for url, name in json.loads(listed.read_text()).items() if name[:12] not in sources}
        write_if_changed(listed, json.dumps(kept, indent=1, sort_keys=True))
