"""Connects to a Label Studio server, and turns everything that can go wrong there into a LabelError of one line.

`connect` returns a `Server`. Every request to a server runs inside `one_line_errors`.
"""

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


CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5, 60  # the longest time to connect, and to wait for an answer
NO_RETRIES: Any = {"max_retries": 0}
RETRY_ADVICE = "Type the same command again: what was done stays done"
START_ADVICE = "Type: make label-studio PROJECT=DIR, or correct LABEL_STUDIO_URL"
TOKEN_ADVICE = "Copy yours from Account & Settings, Access Token, into LABEL_STUDIO_API_KEY"
TOKEN_REFUSALS = (  # (word in the server's message, our message, advice) for a token that is refused
    ("legacy token", "takes no legacy tokens", "Make a personal access token: Account & Settings, Access Token"),
    ("blacklisted", "says that this token was withdrawn", TOKEN_ADVICE),
    ("expired", "says that this token has expired", TOKEN_ADVICE),
    ("", "does not know this token", TOKEN_ADVICE),
)


@dataclass(frozen=True)
class Server:
    """A Label Studio server that answers and accepts our token.

    url   without a slash at its end
    user  number of our account on the server
    """

    url: str
    token: str = field(repr=False)
    client: LabelStudio = field(repr=False)
    version: str
    user: int


def connect(url: str, token: str) -> Server:
    """Connect to a server, and ask for its version and our account. Legacy and personal access tokens both work.

    Raises LabelError for an invalid address or token, when no Label Studio answers there, and when the token is refused.
    """
    import httpx
    from label_studio_sdk import LabelStudio

    url, token = url.strip().rstrip("/"), token.strip()
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise LabelError(f"{url!r} is no address of a Label Studio", "Write LABEL_STUDIO_URL like http://127.0.0.1:8080")
    if not re.fullmatch(r"[!-~]+", token):
        raise LabelError(f"the token for Label Studio at {url} is {'damaged' if token else 'empty'}", TOKEN_ADVICE)
    http = httpx.Client(  # keeps no connection open, so that nothing has to be closed
        timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=not is_this_machine(url),
    )
    with one_line_errors(url, "asking who we are"):
        client = LabelStudio(base_url=f"{url}/", api_key=token, httpx_client=http)
        version = _read_version(client)
        if version is None:
            raise LabelError(f"what answers at {url} is no Label Studio", START_ADVICE)
        return Server(url, token, client, version, client.users.whoami(request_options=NO_RETRIES).id)


def _read_version(client: LabelStudio) -> str | None:
    """The version of a server, or None when it is not a Label Studio."""
    from label_studio_sdk.core.api_error import ApiError

    try:
        release = getattr(client.versions.get(request_options=NO_RETRIES), "release", None)
    except ApiError as e:
        is_web_page = isinstance(e.body, str) and (e.status_code or 0) // 100 in (2, 4)
        if is_web_page or e.status_code == 404:
            return None
        raise
    except (AttributeError, TypeError):  # the SDK raises these for JSON of another shape
        return None
    return release if isinstance(release, str) else None


def is_this_machine(url: str) -> bool:
    """Whether an address is on this machine. Requests to it ignore the proxy of the environment, which would see the token."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def one_line_errors(url: str, action: str) -> Iterator[None]:
    """Turn every error of a request to the server into a LabelError of one line.

    action  what is being done, for the message: "sending clips"
    """
    import httpx
    from label_studio_sdk.core.api_error import ApiError
    from label_studio_sdk.core.parse_error import ParsingError

    try:
        yield
    except ApiError as e:
        raise _status_error(url, action, e) from None  # the text of `e` contains our session
    except (ParsingError, ValueError) as e:  # ValueError: the answer is not JSON
        raise LabelError(f"what answers at {url} is no Label Studio", START_ADVICE) from e
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise _transport_error(url, action, e) from e


def _transport_error(url: str, action: str, e: httpx.HTTPError | httpx.InvalidURL) -> LabelError:
    """The error for a request without an answer."""
    import httpx

    if isinstance(e, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL | httpx.UnsupportedProtocol):
        why = "timed out" if isinstance(e, httpx.ConnectTimeout) else re.sub(r"\[Errno -?\d+\] ", "", str(e))
        return LabelError(f"no Label Studio answers at {url}: {why}", START_ADVICE)
    if isinstance(e, httpx.TimeoutException):
        return LabelError(f"Label Studio at {url} took too long over {action}", RETRY_ADVICE)
    return LabelError(f"the connection to Label Studio at {url} was lost while {action}", RETRY_ADVICE)


def _status_error(url: str, action: str, e: ApiError) -> LabelError:
    """The error for an answer with an error status."""
    status, why = e.status_code or 0, error_detail(e.body)
    if status == 401:
        what, advice = next((what, advice) for word, what, advice in TOKEN_REFUSALS if word in why.lower())
        return LabelError(f"Label Studio at {url} {what}", advice)
    if 300 <= status < 400:
        return LabelError(f"{url} sends on to another address", "Give that address: LABEL_STUDIO_URL")
    if status >= 500:
        return LabelError(f"Label Studio at {url} failed while {action} (status {status}{why and ': '}{why})", "See its log")
    if status == 403:
        return LabelError(
            f"Label Studio at {url} does not let this account go on: {action}", "Use the token of an owner or manager"
        )
    return LabelError(
        f"Label Studio at {url} refused while {action} (status {status}{why and ': '}{why})", "See docs/annotate.md"
    )


def error_detail(body: Any) -> str:
    """The server's message, on one line and at most 300 characters; empty when the answer is a web page."""
    if not isinstance(body, dict):
        return ""
    by_field = body.get("validation_errors")
    messages: list[str] = []
    if isinstance(by_field, dict):
        messages = [str(x) for v in by_field.values() for x in (v if isinstance(v, list) else [v])]
    return " ".join(" ".join(messages or [str(body.get("detail") or "")]).split())[:300].rstrip(". ")
