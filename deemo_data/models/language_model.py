"""Asking a language model of the user's choice, at any OpenAI-compatible address: checked, kept on disk, or one clear line.

Nothing is sent unless deemo.toml names an address. Prompts are built by moments.py and clues.py, of a released clip's redacted
transcript and what was measured on its released tracks; of each a copy lies beside the answer, below private/. baseline/judge.py
asks in the same way and keeps what it was answered itself.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from deemo_data.errors import ConfigError, ModelError
from deemo_data.files import write_if_changed

VERSION = 1  # of how is asked and read: with another one, kept answers are not used
RULES = "rules"
UNANSWERED = "rules (the language model did not answer)"
MOST = 4_000_000  # bytes of an answer
AGAIN = (408, 425, 429, 500, 502, 503, 504, 529)  # what another try may mend
LONGEST_PAUSE_S = 30.0
FALLBACK = "Look at [language_model] in deemo.toml; with fallback = true the rules alone do where it does not answer"

T = TypeVar("T", bound=BaseModel)
Pause = Callable[[float], None]


@dataclass(frozen=True)
class LanguageModel:
    """The [language_model] table."""

    address: str = ""  # of an OpenAI-compatible service, mostly ending in /v1; empty: no text leaves the machine
    model: str = ""  # as the service calls it
    key_env: str = ""  # environment variable that holds the key; empty: none is sent
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 60.0  # for a whole answer
    retries: Annotated[int, Field(ge=0, le=10)] = 2  # after it is busy, breaks down or says nothing
    fallback: bool = False  # true: where it does not answer the rules alone do, and that is said
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, Field(ge=16, le=65536)] = 2000  # of an answer
    environment: bool = False  # true: by the proxies and certificates that the environment names

    def __post_init__(self) -> None:
        if not self.address:
            return
        url = _parts(self.address)
        if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
            raise ConfigError(f"[language_model] address {self.address!r} is none", 'Write, say, "http://127.0.0.1:8000/v1"')
        if url.username is not None or url.password is not None:
            raise ConfigError("[language_model] address has a user or a password in it", "Name a key with key_env instead")
        if not self.model:
            raise ConfigError("[language_model] has an address and no model", "Set model as the service calls it")
        if self.key_env and url.scheme == "http" and not _is_here(url.hostname):
            raise ConfigError(f"[language_model] would send a key to {url.netloc} readable for everybody", "Use https")

    @property
    def wanted(self) -> bool:
        """Whether deemo.toml names an address: else nothing is ever sent."""
        return bool(self.address)

    @property
    def host(self) -> str:
        return _parts(self.address).netloc


@dataclass(frozen=True)
class Prompt:
    """What is asked. system: what to do; user: about what."""

    system: str
    user: str


@dataclass(frozen=True)
class Call:
    """One answer to be had: to whom, with which key, and how to wait."""

    how: LanguageModel
    key: str = field(repr=False)
    pause: Pause

    def fails(self, what: str, advice: str = FALLBACK) -> ModelError:
        shown = what.replace(self.key, "…") if self.key else what
        return ModelError(f"the language model {self.how.model!r} at {self.how.host} {shown}", advice)


def ask(
    how: LanguageModel,
    prompt: Prompt,
    shape: type[T],
    cache: Path,
    *,
    check: Callable[[T], str] = lambda answer: "",
    pause: Pause = time.sleep,
) -> T:
    """The model's answer in the form of `shape`: a kept one where the same was asked before, else a new one, which is kept.

    cache  a folder below private/; made when it is not there
    check  says what is wrong with an answer that has the right form; "" when nothing is
    Raises ModelError when none that can be used is had, ConfigError when the key is not in the environment.
    """
    said = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
    schema = shape.model_json_schema()
    asked = [VERSION, how.address, how.model, how.temperature, how.max_tokens, said, schema]
    path = cache / f"{hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()}.json"
    kept = _kept(path, shape, check)
    if kept is not None:
        return kept
    answer = _answer(Call(how, key_of(how), pause), said, schema, shape, check)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    row = {"address": how.address, "model": how.model, "asked": said, "answer": answer.model_dump(mode="json")}
    write_if_changed(path, json.dumps(row, indent=1, ensure_ascii=False) + "\n", mode=0o600)
    return answer


def _kept(path: Path, shape: type[T], check: Callable[[T], str]) -> T | None:
    try:
        answer = shape.model_validate(json.loads(path.read_text("utf-8"))["answer"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: it is asked anew
        return None
    return None if check(answer) else answer


def _answer(call: Call, said: list[dict[str, str]], schema: dict[str, Any], shape: type[T], check: Callable[[T], str]) -> T:
    """First with the schema as a parameter; where that is declined or does not help, with the schema in the text."""
    how = call.how
    body: dict[str, Any] = {"model": how.model, "temperature": how.temperature, "max_tokens": how.max_tokens, "stream": False}
    form = {"type": "json_schema", "json_schema": {"name": shape.__name__, "schema": schema, "strict": True}}
    status, got = post(call, {**body, "messages": said, "response_format": form})
    answer, wrong = (None, "") if status != 200 else read_answer(got, shape, check)
    if answer is None:
        wanted = f"Answer with one JSON object and nothing else. It must fit this JSON schema:\n{json.dumps(schema)}"
        in_words = [{"role": "system", "content": f"{said[0]['content']}\n\n{wanted}"}, *said[1:]]
        status, got = post(call, {**body, "messages": in_words})
        if status != 200:
            raise call.fails(f"declines (status {status}): {complaint(got)}")
        answer, wrong = read_answer(got, shape, check)
    if answer is None:
        raise call.fails(f"gives no answer that can be used: {wrong}")
    return answer


def read_answer(got: bytes, shape: type[T], check: Callable[[T], str]) -> tuple[T | None, str]:
    """(the answer, "") or (None, what is wrong with it)."""
    try:
        choice = json.loads(got)["choices"][0]
        text, ended = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None, "it is no chat completion"
    if ended == "length":
        return None, "it was cut off; raise max_tokens"
    if not isinstance(text, str):
        return None, "it says nothing"
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = shape.model_validate_json(text[start : end + 1])
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        return None, f"{where}: {first['msg']}" if where else "it is no JSON of the form that was asked for"
    wrong = check(answer)
    return (None, wrong) if wrong else (answer, "")


def post(call: Call, body: dict[str, Any]) -> tuple[int, bytes]:
    """Status and content of an answer: 200, or 400 or 422 when what was asked is declined. Raises ModelError for all else."""
    import httpx

    how = call.how
    url = f"{how.address.rstrip('/')}/chat/completions"
    headers = {"Authorization": f"Bearer {call.key}"} if call.key else {}
    limit = httpx.Timeout(how.timeout_s, connect=min(how.timeout_s, 10))
    trouble, again = "", ""
    with httpx.Client(headers=headers, timeout=limit, follow_redirects=False, trust_env=how.environment) as client:
        for tries in range(how.retries + 1):
            if tries:
                call.pause(_pause_s(tries, again))
            again = ""
            try:
                status, said, got = _fetched(client, url, body, how.timeout_s)
            except httpx.TimeoutException:
                trouble = f"did not answer within {how.timeout_s:g} s"
                continue
            except (httpx.HTTPError, httpx.InvalidURL) as e:
                trouble = f"cannot be reached or breaks off ({str(e) or type(e).__name__})"
                continue
            if status in (200, 400, 422):
                return status, got
            if status not in AGAIN:
                raise _hopeless(call, status, said, got)
            trouble, again = f"is busy or broken (status {status}): {complaint(got)}", said.get("retry-after", "")
    raise call.fails(f"{trouble}; it was asked {how.retries + 1} times" if how.retries else trouble)


def _fetched(client: Any, url: str, body: dict[str, Any], seconds: float) -> tuple[int, Any, bytes]:
    """Status, headers and content; the whole of it within `seconds`, also when it comes in drops."""
    import httpx

    until, got = time.monotonic() + seconds, bytearray()
    with client.stream("POST", url, json=body) as answer:
        for piece in answer.iter_bytes():
            got += piece
            if time.monotonic() > until:
                raise httpx.ReadTimeout("too slow")
            if len(got) > MOST:
                raise httpx.ReadError(f"more than {MOST // 1_000_000} MB")
        return answer.status_code, answer.headers, bytes(got)


def _hopeless(call: Call, status: int, said: Any, got: bytes) -> ModelError:
    if 300 <= status < 400:
        to = urlsplit(said.get("location", "")).netloc or "another path"
        return call.fails(f"sends us on to {to}, and nothing is sent there", "If that is right, set it as address")
    if status in (401, 403):
        where = f"the environment variable {call.how.key_env}" if call.how.key_env else "no variable (key_env is empty)"
        return call.fails(f"does not let us in (status {status}): {complaint(got)}", f"The key is taken from {where}")
    if status == 404:
        advice = "Compare model and address: it is what comes before /chat/completions, mostly ending in /v1"
        return call.fails(f"is not there (status 404): {complaint(got)}", advice)
    return call.fails(f"answers with status {status}: {complaint(got)}")


def complaint(got: bytes) -> str:
    """What the service says is wrong, in at most 200 characters."""
    try:
        said = json.loads(got)
    except ValueError:
        said = None
    error = said.get("error", said) if isinstance(said, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    shown = " ".join(str(text or got[:400].decode(errors="replace") or "nothing").split())
    return shown if len(shown) <= 200 else f"{shown[:199]}…"


def _pause_s(tries: int, again: str) -> float:
    """Half a second, then twice as long each time, or as long as the service asks for; never over half a minute."""
    asked = float(again) if again.isascii() and again.isdigit() else 0.0
    return min(max(0.5 * 2.0 ** (tries - 1), asked), LONGEST_PAUSE_S)


def key_of(how: LanguageModel) -> str:
    if not how.key_env:
        return ""
    key = os.environ.get(how.key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError(f"the environment variable {how.key_env} holds no key", "Set it, or empty key_env in [language_model]")
    return key


def _parts(address: str) -> Any:
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError as e:
        raise ConfigError(f"[language_model] address {address!r}: {e}", 'Write, say, "http://127.0.0.1:8000/v1"') from e
    return url


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
