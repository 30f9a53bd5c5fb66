"""Downloads the video behind a web address with yt-dlp, in a process that can connect to public addresses only.

An address in a table may lead, through redirects or name resolution, into a private network. So the download runs in a child
process with an audit hook that refuses every connection to an address that is not public, with limits of size and time. The
file is named by its digest, and downloads.json notes which address it came from, so that nothing is fetched twice.
"""

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
MAX_ANSWER_BYTES = 2**20
STALL_SECONDS = 30  # without receiving a byte
SECRET_WORDS = "auth|credential|key|pass|secret|sig|token"  # in the name of a URL parameter: its value gives access
ALL_NETWORKS = ("0.0.0.0/0", "::/0")


def is_web_address(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))


def download_video(
    url: str, folder: Path, allow_local_addresses: bool = False, *, max_bytes: int = MAX_BYTES, max_seconds: int = MAX_SECONDS
) -> Path:
    """The video at an http(s) address, as a file in `folder` that is named by its digest. Not fetched again if it is there.

    Raises SourceError when the address, or one that it leads to, is private, loopback or otherwise not public, and when the
    video exceeds the limits of size or time.
    """
    try:
        return fetch_video(
            url, folder, ALL_NETWORKS if allow_local_addresses else (), max_bytes=max_bytes, max_seconds=max_seconds
        )
    except SourceError as e:
        raise SourceError(e.what.replace(url, redact_address(url)), e.advice) from None  # the error before has the whole address


def find_download(url: str, folder: Path) -> Path | None:
    """Where the video of an address was put in `folder`, whether it is still there or not; None when it was never fetched."""
    name = _read_downloads(folder).get(url)
    return folder / name if name else None


def redact_address(url: str) -> str:
    """An address as reports and terminals may show it: without user, password, and values of parameters named like secrets."""
    url = re.sub(r"^(\w+://)[^/?#]*@", r"\1…@", url, flags=re.IGNORECASE)
    return re.sub(rf"([?&#][^=&#]*(?:{SECRET_WORDS})[^=&#]*=)[^&#]*", r"\1…", url, flags=re.IGNORECASE)


def fetch_video(
    url: str, folder: Path, extra_networks: tuple[str, ...], *, max_bytes: int = MAX_BYTES, max_seconds: int = MAX_SECONDS
) -> Path:
    """As `download_video`, with the networks that may be reached besides the public ones."""
    downloads = _read_downloads(folder)
    if url in downloads and (folder / downloads[url]).is_file():
        return folder / downloads[url]
    check_host(url, extra_networks)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging_dir = folder / f".{uuid.uuid4().hex[:12]}"
    staging_dir.mkdir(mode=0o700)
    try:
        path = _fetch_in_process(url, staging_dir, extra_networks, max_bytes, max_seconds)
        final = folder / f"{File.of(path).sha256}{path.suffix.lower()}"
        sync_to_disk(path)
        path.replace(final)
    finally:
        shutil.rmtree(staging_dir, ignore_errors=True)
    with open(folder / ".lock", "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        write_if_changed(
            folder / "downloads.json", json.dumps(_read_downloads(folder) | {url: final.name}, indent=1, sort_keys=True)
        )
    return final


def _read_downloads(folder: Path) -> dict[str, str]:
    path = folder / "downloads.json"
    downloads: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return downloads


# ── where it may connect to ──────────────────────────────────────────────────────────────────────────────────


def check_host(url: str, extra_networks: tuple[str, ...] = ()) -> None:
    """Raise SourceError, before any connection, unless the host of an address resolves to public addresses only."""
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError as e:
        raise SourceError(f"{url} is not an address: {e}", "Check it and run again") from e
    if not is_web_address(url) or not host:
        raise SourceError(f"{url}: only http and https addresses can be fetched", "Download it yourself and give the file")
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)}
    except OSError as e:
        raise SourceError(f"{url}: the host {host} cannot be found", "Check the address and the network, and run again") from e
    for address in sorted(addresses):
        if not is_reachable(address, extra_networks):
            raise SourceError(_not_public_reason(url, address), "Download it yourself and give the file")


def is_reachable(address: str, extra_networks: tuple[str, ...] = ()) -> bool:
    """Whether an IP address is public, or in one of `extra_networks`. False for a host name, which must be resolved first."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if any(ip in ipaddress.ip_network(network) for network in extra_networks):
        return True
    embedded = _embedded_ipv4(ip)
    return ip.is_global and not ip.is_multicast and (embedded is None or is_reachable(str(embedded)))


def _embedded_ipv4(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 address, if any: mapped, 6to4, Teredo or NAT64."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _not_public_reason(url: str, address: str) -> str:
    return f"{url} leads to {address}, which is not a public address"


def _guard_connections(url: str, extra_networks: tuple[str, ...], refused: list[str]) -> None:
    """Restrict this process for good: it can only connect to reachable addresses, and start no program with a URL argument.

    Python calls the audit hook at each connection. So it also covers redirects, host names that resolve differently the second
    time, and connections that an extractor of yt-dlp opens. Reasons for refusals are appended to `refused`.
    """

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = args[1][0] if isinstance(args[1], tuple) and args[1] else args[1]
            if not is_reachable(str(address), extra_networks):
                refused.append(_not_public_reason(url, str(address)))
                raise PermissionError(refused[-1])
        elif event in ("os.system", "os.exec", "os.posix_spawn", "os.startfile"):
            raise PermissionError(f"{url}: {event} is not allowed here")
        elif event == "subprocess.Popen" and "://" in str(args[1]):
            raise PermissionError(f"{url}: a program that would fetch by itself is not allowed here")

    sys.addaudithook(audit)


# ── the process that fetches ─────────────────────────────────────────────────────────────────────────────────


def _fetch_in_process(url: str, staging_dir: Path, extra_networks: tuple[str, ...], max_bytes: int, max_seconds: int) -> Path:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run_child, args=(sender, url, staging_dir, extra_networks, max_bytes))
    process.start()
    sender.close()
    try:
        timeout = [f"{url} was not there after {max_seconds} s", "Download it yourself and give the file"]
        # The answer is JSON, not a pickle: the child has talked to strangers.
        answer = json.loads(receiver.recv_bytes(MAX_ANSWER_BYTES)) if receiver.poll(max_seconds) else timeout
    except (EOFError, OSError, ValueError):
        answer = [f"{url}: the process that fetched it died", "Run again"]
    finally:
        _end_process(process)
    if isinstance(answer, list):
        raise SourceError(*answer)
    return staging_dir / Path(answer).name


def _end_process(process: BaseProcess) -> None:
    """Kill the child and all processes that it started: it leads a process group of its own."""
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _run_child(sender: Connection, url: str, staging_dir: Path, extra_networks: tuple[str, ...], max_bytes: int) -> None:
    import resource

    os.setsid()
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    try:
        answer: str | list[str] = str(_fetch_with_yt_dlp(url, staging_dir, extra_networks, max_bytes))
    except DeemoError as e:
        answer = [e.what, e.advice]
    sender.send_bytes(json.dumps(answer).encode())


def _fetch_with_yt_dlp(url: str, staging_dir: Path, extra_networks: tuple[str, ...], max_bytes: int) -> Path:
    try:
        import yt_dlp
        from yt_dlp.networking._urllib import UrllibRH
    except ImportError as e:
        raise SourceError(f"{url}: yt-dlp is needed to fetch it", "Type: pip install 'deemo_data[download]'") from e
    from deemo_data.media.ffmpeg import find_ffmpeg

    class Downloader(yt_dlp.YoutubeDL):  # type: ignore[misc]
        def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
            return super().build_request_director(
                [UrllibRH], preferences
            )  # the only handler whose connections the audit hook sees

    too_large = SourceError(f"{url} is larger than {max_bytes} bytes", "Download it yourself and give the file")
    refused: list[str] = []
    options = {
        "quiet": True, "no_warnings": True, "noprogress": True, "logger": _SilentLogger(), "cachedir": False, "proxy": "",
        "paths": {"home": str(staging_dir)}, "outtmpl": "video.%(ext)s", "max_filesize": max_bytes,
        "socket_timeout": STALL_SECONDS,
        "retries": 2, "extractor_retries": 1, "noplaylist": True, "extract_flat": "in_playlist", "hls_prefer_native": True,
        "format": "bv*[protocol^=http]+ba[protocol^=http]/b[protocol^=http]/bv*+ba/b", "ffmpeg_location": find_ffmpeg(),
        "updatetime": False, "writethumbnail": False, "enable_file_urls": False,
    }  # fmt: skip
    _guard_connections(url, extra_networks, refused)
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
    videos = [p for p in staging_dir.iterdir() if p.is_file() and p.suffix not in (".part", ".ytdl")]
    if not videos:
        raise too_large
    return max(videos, key=lambda p: p.stat().st_size)


class _SilentLogger:
    """Discards the messages of yt-dlp. Errors arrive as exceptions."""

    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


def delete_downloads(folder: Path, paths: Iterable[Path], sources: set[str]) -> None:
    """Delete downloaded files, and the addresses of some sources from downloads.json."""
    for path in paths:
        path.unlink(missing_ok=True)
    if (folder / "downloads.json").exists():
        others = {url: name for url, name in _read_downloads(folder).items() if name[:12] not in sources}
        write_if_changed(folder / "downloads.json", json.dumps(others, indent=1, sort_keys=True))
