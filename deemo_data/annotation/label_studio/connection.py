"""The way to a Label Studio server: one that answers and knows us, or one line that says what is wrong with it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deemo_data.errors import LabelError

if TYPE_CHECKING:
    import httpx
    from label_studio_sdk import LabelStudio
    from label_studio_sdk.core.api_error import ApiError


CONNECT_S, ANSWER_S = 5, 60  # how long a connection and an answer may take
AT_ONCE: Any = {"max_retries": 0}
AGAIN = "Type the same command again: what was done stays done"
START = "Type: make label-studio PROJECT=DIR, or correct LABEL_STUDIO_URL"
NEW_TOKEN = "Copy yours from Account & Settings, Access Token, into LABEL_STUDIO_API_KEY"
REFUSED = (  # what the server says of a token it does not take, what we say, and what to do
    ("legacy token", "takes no legacy tokens", "Make a personal access token: Account & Settings, Access Token"),
    ("blacklisted", "says that this token was withdrawn", NEW_TOKEN),
    ("expired", "says that this token has expired", NEW_TOKEN),
    ("", "does not know this token", NEW_TOKEN),
)


@dataclass(frozen=True)
class Server:
    """A Label Studio that answers and knows our token. url has no slash at its end; user is our number there."""

    url: str
    token: str = field(repr=False)
    client: LabelStudio = field(repr=False)
    version: str
    user: int


def connect(url: str, token: str) -> Server:
    """Ask a server who it is and who we are. The token may be a legacy one or a personal access token.

    Raises LabelError when there is no such address, nothing or something else answers there, or the token is not taken.
    """
    import httpx
    from label_studio_sdk import LabelStudio

    url, token = url.strip().rstrip("/"), token.strip()
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise LabelError(f"{url!r} is no address of a Label Studio", "Write LABEL_STUDIO_URL like http://127.0.0.1:8080")
    if not re.fullmatch(r"[!-~]+", token):
        raise LabelError(f"the token for Label Studio at {url} is {'damaged' if token else 'empty'}", NEW_TOKEN)
    http = httpx.Client(  # no connection is kept, so that none has to be closed
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=not is_here(url),
    )
    with clearly(url, "asking who we are"):
        client = LabelStudio(base_url=f"{url}/", api_key=token, httpx_client=http)
        version = _version(client)
        if version is None:
            raise LabelError(f"what answers at {url} is no Label Studio", START)
        return Server(url, token, client, version, client.users.whoami(request_options=AT_ONCE).id)


def _version(client: LabelStudio) -> str | None:
    """What a server calls its release, or None when it is no Label Studio."""
    from label_studio_sdk.core.api_error import ApiError

    try:
        said = getattr(client.versions.get(request_options=AT_ONCE), "release", None)
    except ApiError as e:
        page = isinstance(e.body, str) and (e.status_code or 0) // 100 in (2, 4)
        if page or e.status_code == 404:
            return None
        raise
    except (AttributeError, TypeError):  # the SDK, about JSON that is not what it should be
        return None
    return said if isinstance(said, str) else None


def is_here(url: str) -> bool:
    """Whether it is this machine: then no proxy of the environment is asked, nor told the token."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def clearly(url: str, doing: str) -> Iterator[None]:
    """Whatever goes wrong between us and the server, as a LabelError of one line. `doing`: "sending clips"."""
    import httpx
    from label_studio_sdk.core.api_error import ApiError
    from label_studio_sdk.core.parse_error import ParsingError

    try:
        yield
    except ApiError as e:
        raise _said_no(url, doing, e) from None  # its text has our session in it
    except (ParsingError, ValueError) as e:  # ValueError: what should be JSON is not
        raise LabelError(f"what answers at {url} is no Label Studio", START) from e
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise _no_answer(url, doing, e) from e


def _no_answer(url: str, doing: str, e: httpx.HTTPError | httpx.InvalidURL) -> LabelError:
    import httpx

    if isinstance(e, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL | httpx.UnsupportedProtocol):
        why = "timed out" if isinstance(e, httpx.ConnectTimeout) else re.sub(r"\[Errno -?\d+\] ", "", str(e))
        return LabelError(f"no Label Studio answers at {url}: {why}", START)
    if isinstance(e, httpx.TimeoutException):
        return LabelError(f"Label Studio at {url} took too long over {doing}", AGAIN)
    return LabelError(f"the connection to Label Studio at {url} was lost while {doing}", AGAIN)


def _said_no(url: str, doing: str, e: ApiError) -> LabelError:
    """What an answer with an error status means, in one line."""
    status, why = e.status_code or 0, detail(e.body)
    if status == 401:
        what, advice = next((what, advice) for word, what, advice in REFUSED if word in why.lower())
        return LabelError(f"Label Studio at {url} {what}", advice)
    if 300 <= status < 400:
        return LabelError(f"{url} sends on to another address", "Give that address: LABEL_STUDIO_URL")
    if status >= 500:
        return LabelError(f"Label Studio at {url} failed while {doing} (status {status}{why and ': '}{why})", "See its log")
    if status == 403:
        return LabelError(
            f"Label Studio at {url} does not let this account go on: {doing}", "Use the token of an owner or manager"
        )
    return LabelError(f"Label Studio at {url} refused while {doing} (status {status}{why and ': '}{why})", "See docs/annotate.md")


def detail(body: Any) -> str:
    """What the server says is wrong, on one line; nothing of a web page."""
    if not isinstance(body, dict):
        return ""
    wrong = body.get("validation_errors")
    said = [str(x) for v in wrong.values() for x in (v if isinstance(v, list) else [v])] if isinstance(wrong, dict) else []
    return " ".join(" ".join(said or [str(body.get("detail") or "")]).split())[:300].rstrip(". ")
