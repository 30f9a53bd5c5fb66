"""Asks a language model of the user's choice, at any OpenAI-compatible address, and keeps its answers on disk.

`ask` is the one protocol for every question that this toolkit asks: it looks into a cache, sends the question with a JSON schema,
repeats it with the schema in the text where the service declines the schema, retries a busy service, and checks the answer.
A caller chooses where answers are kept: `FolderCache` keeps one file per answer, baseline/scoring/judge.py keeps a ledger.

Nothing is sent unless an address is configured. The modules of preannotation/ build the prompts of a project from the redacted
transcript of a released clip and from measurements on its released tracks. FolderCache keeps a copy of each prompt in private/.
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
from typing import Annotated, Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from deemo_data.errors import ConfigError, ModelError
from deemo_data.files import write_if_changed

VERSION = 1  # of the protocol; FolderCache does not use answers of another version
RULES = "rules"
UNANSWERED = "rules (the language model did not answer)"
MAX_ANSWER_BYTES = 4_000_000
RETRY_STATUSES = (408, 425, 429, 500, 502, 503, 504, 529)  # HTTP statuses after which another try may succeed
DECLINED_STATUSES = (400, 422)  # the service does not accept the question, for example because of the schema
MAX_PAUSE_S = 30.0
FALLBACK_ADVICE = "Look at [language_model] in deemo.toml; with fallback = true the rules alone do where it does not answer"

Answer = TypeVar("Answer", bound=BaseModel)
Pause = Callable[[float], None]


@dataclass(frozen=True)
class LanguageModel:
    """The [language_model] table of deemo.toml: which service to ask, and how."""

    address: str = ""  # of an OpenAI-compatible service, usually ends in /v1; empty: no text leaves the machine
    model: str = ""  # the service's name for the model
    key_env: str = ""  # environment variable that holds the key; empty: no key is sent
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 60.0  # for a whole answer
    retries: Annotated[int, Field(ge=0, le=10)] = 2  # after the service is busy, fails or sends nothing
    fallback: bool = False  # true: if the service does not answer, the rules decide alone, and the result says so
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, Field(ge=16, le=65536)] = 2000  # of an answer
    environment: bool = False  # true: use the proxies and certificates that the environment names

    def __post_init__(self) -> None:
        if not self.address:
            return
        url = _split_address(self.address)
        if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
            raise ConfigError(f"[language_model] address {self.address!r} is none", 'Write, say, "http://127.0.0.1:8000/v1"')
        if url.username is not None or url.password is not None:
            raise ConfigError("[language_model] address has a user or a password in it", "Name a key with key_env instead")
        if not self.model:
            raise ConfigError("[language_model] has an address and no model", "Set model as the service calls it")
        if self.key_env and url.scheme == "http" and not _is_loopback(url.hostname):
            raise ConfigError(f"[language_model] would send a key to {url.netloc} readable for everybody", "Use https")

    @property
    def is_configured(self) -> bool:
        """Whether an address is set. Without one, nothing is ever sent."""
        return bool(self.address)

    @property
    def host(self) -> str:
        """Host and port of the address."""
        return _split_address(self.address).netloc


NO_LANGUAGE_MODEL = LanguageModel()  # no address: the rules do all the work


class UnusableAnswer(ModelError):
    """The service answered, but its answer has not the form that was asked for or fails the caller's check."""


@dataclass(frozen=True)
class Prompt:
    """The text of a question. system: the instruction; user: the material that it is about."""

    system: str
    user: str


@dataclass(frozen=True)
class Question(Generic[Answer]):
    """A prompt to one model, and the pydantic model that its answer must fit."""

    settings: LanguageModel
    prompt: Prompt
    answer_type: type[Answer]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as the chat completions API takes it."""
        return [{"role": "system", "content": self.prompt.system}, {"role": "user", "content": self.prompt.user}]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the answer."""
        return self.answer_type.model_json_schema()


@dataclass(frozen=True)
class Exchange(Generic[Answer]):
    """The outcome of one question.

    answer   None when no reply could be used
    replies  the bodies of all replies, in order, without the key
    status   HTTP status of the last reply; other than 200: the service declined the question
    problem  what is wrong with the last reply; "" when there is an answer
    """

    answer: Answer | None
    replies: list[str]
    status: int = 200
    problem: str = ""


class AnswerCache(Protocol):
    """Where answers are kept, so that no question is sent twice."""

    def find(self, question: Question[Answer]) -> Answer | None:
        """The kept answer to a question, or None."""

    def add(self, question: Question[Answer], exchange: Exchange[Answer]) -> None:
        """Keep the outcome of a question; its answer may be None."""


@dataclass(frozen=True)
class FolderCache:
    """A folder with one JSON file per answer, readable only for the user; unusable answers are not kept.

    The file name is a digest of the question, the model, its settings and VERSION.
    """

    folder: Path  # below private/; created when needed

    def find(self, question: Question[Answer]) -> Answer | None:
        try:
            return question.answer_type.model_validate(json.loads(self._path_of(question).read_text("utf-8"))["answer"])
        except (OSError, ValueError, KeyError, TypeError):  # missing or damaged: the question is sent again
            return None

    def add(self, question: Question[Answer], exchange: Exchange[Answer]) -> None:
        if exchange.answer is None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        row: dict[str, Any] = {"address": question.settings.address, "model": question.settings.model, "asked": question.messages}
        row["answer"] = exchange.answer.model_dump(mode="json")
        write_if_changed(self._path_of(question), json.dumps(row, indent=1, ensure_ascii=False) + "\n", mode=0o600)

    def _path_of(self, question: Question[Any]) -> Path:
        settings = question.settings
        parts = [VERSION, settings.address, settings.model, settings.temperature, settings.max_tokens]
        text = json.dumps([*parts, question.messages, question.schema], sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def ask(
    settings: LanguageModel,
    prompt: Prompt,
    answer_type: type[Answer],
    cache: AnswerCache,
    *,
    check: Callable[[Answer], str] = lambda answer: "",
    pause: Pause = time.sleep,
) -> Answer:
    """Return the model's answer to a prompt, from the cache if the same question was answered before.

    answer_type  the pydantic model that the answer must fit
    check        returns what is wrong with an answer of the right form, "" when nothing is
    pause        waits for a number of seconds between two tries
    Raises UnusableAnswer when no reply has the right form and passes the check, ModelError when the service does not answer,
    and ConfigError when the key is not in the environment.
    """
    question = Question(settings, prompt, answer_type)
    cached = cache.find(question)
    if cached is not None and not check(cached):
        return cached
    client = _Client(settings, read_key(settings), pause)
    exchange = _put_question(client, question, check)
    cache.add(question, exchange)
    if exchange.answer is None:
        declined = exchange.status != 200
        what = f"declines (status {exchange.status})" if declined else "gives no answer that can be used"
        raise UnusableAnswer(*client.error(f"{what}: {exchange.problem}").args)
    return exchange.answer


def read_key(settings: LanguageModel) -> str:
    """The key from the environment variable key_env, "" when none is named. Raises ConfigError when the variable holds no key."""
    if not settings.key_env:
        return ""
    key = os.environ.get(settings.key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError(
            f"the environment variable {settings.key_env} holds no key", "Set it, or empty key_env in [language_model]"
        )
    return key


@dataclass(frozen=True)
class _Client:
    """The service that is asked, with its key and with the function that waits between two tries."""

    settings: LanguageModel
    key: str = field(repr=False)
    pause: Pause

    def redact(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self.key, "…") if self.key else text

    def error(self, what: str, advice: str = FALLBACK_ADVICE) -> ModelError:
        return ModelError(f"the language model {self.settings.model!r} at {self.settings.host} {self.redact(what)}", advice)


def _put_question(client: _Client, question: Question[Answer], check: Callable[[Answer], str]) -> Exchange[Answer]:
    """Ask with the schema as a parameter; if that is declined or gives nothing usable, ask with the schema in the text."""
    settings, messages, schema = client.settings, question.messages, question.schema
    body = {
        "model": settings.model, "temperature": settings.temperature, "max_tokens": settings.max_tokens, "stream": False,
    }  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": schema["title"], "schema": schema, "strict": True}}
    wanted = f"Answer with one JSON object and nothing else. It must fit this JSON schema:\n{json.dumps(schema)}"
    in_words = [{**messages[0], "content": f"{messages[0]['content']}\n\n{wanted}"}, *messages[1:]]
    replies: list[str] = []
    problem, status = "", 0
    for request in ({"messages": messages, "response_format": form}, {"messages": in_words}):
        status, reply = _post(client, {**body, **request})
        replies.append(client.redact(reply.decode(errors="replace")))
        if status != 200:
            problem = client.redact(_complaint_in(reply))
            continue
        answer, problem = _parse_answer(reply, question.answer_type, check)
        if answer is not None:
            return Exchange(answer, replies)
    return Exchange(None, replies, status, problem)


def _parse_answer(reply: bytes, answer_type: type[Answer], check: Callable[[Answer], str]) -> tuple[Answer | None, str]:
    """(the answer, "") or (None, what is wrong with the reply)."""
    try:
        choice = json.loads(reply)["choices"][0]
        text, finish_reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None, "it is no chat completion"
    if finish_reason == "length":
        return None, "it was cut off; raise max_tokens"
    if not isinstance(text, str):
        return None, "it says nothing"
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = answer_type.model_validate_json(text[start : end + 1])
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        return None, f"{where}: {first['msg']}" if where else "it is no JSON of the form that was asked for"
    problem = check(answer)
    return (None, problem) if problem else (answer, "")


def _post(client: _Client, body: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of a reply: 200, or one of DECLINED_STATUSES. Raises ModelError for other statuses and for silence."""
    import httpx

    settings = client.settings
    url = f"{settings.address.rstrip('/')}/chat/completions"
    headers = {"Authorization": f"Bearer {client.key}"} if client.key else {}
    timeout = httpx.Timeout(settings.timeout_s, connect=min(settings.timeout_s, 10))
    problem, retry_after = "", ""
    with httpx.Client(headers=headers, timeout=timeout, follow_redirects=False, trust_env=settings.environment) as http:
        for attempt in range(settings.retries + 1):
            if attempt:
                client.pause(_pause_s(attempt, retry_after))
            retry_after = ""
            try:
                status, reply_headers, reply = _fetch(http, url, body, settings.timeout_s)
            except httpx.TimeoutException:
                problem = f"did not answer within {settings.timeout_s:g} s"
                continue
            except (httpx.HTTPError, httpx.InvalidURL) as e:
                problem = f"cannot be reached or breaks off ({str(e) or type(e).__name__})"
                continue
            if status == 200 or status in DECLINED_STATUSES:
                return status, reply
            if status not in RETRY_STATUSES:
                raise _final_error(client, status, reply_headers, reply)
            problem = f"is busy or broken (status {status}): {_complaint_in(reply)}"
            retry_after = reply_headers.get("retry-after", "")
    raise client.error(f"{problem}; it was asked {settings.retries + 1} times" if settings.retries else problem)


def _fetch(http: Any, url: str, body: dict[str, Any], timeout_s: float) -> tuple[int, Any, bytes]:
    """Status, headers and body of a reply.

    The timeout covers the whole reply, so that a service that sends it byte by byte cannot stretch it.
    """
    import httpx

    deadline, reply = time.monotonic() + timeout_s, bytearray()
    with http.stream("POST", url, json=body) as response:
        for piece in response.iter_bytes():
            reply += piece
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("too slow")
            if len(reply) > MAX_ANSWER_BYTES:
                raise httpx.ReadError(f"more than {MAX_ANSWER_BYTES // 1_000_000} MB")
        return response.status_code, response.headers, bytes(reply)


def _final_error(client: _Client, status: int, reply_headers: Any, reply: bytes) -> ModelError:
    """The error for a status that another try would not change."""
    if 300 <= status < 400:
        to = urlsplit(reply_headers.get("location", "")).netloc or "another path"
        return client.error(f"sends us on to {to}, and nothing is sent there", "If that is right, set it as address")
    if status in (401, 403):
        key_env = client.settings.key_env
        where = f"the environment variable {key_env}" if key_env else "no variable (key_env is empty)"
        return client.error(f"does not let us in (status {status}): {_complaint_in(reply)}", f"The key is taken from {where}")
    if status == 404:
        advice = "Compare model and address: it is what comes before /chat/completions, mostly ending in /v1"
        return client.error(f"is not there (status 404): {_complaint_in(reply)}", advice)
    return client.error(f"answers with status {status}: {_complaint_in(reply)}")


def _complaint_in(reply: bytes) -> str:
    """The service's own error message, cut to 200 characters."""
    try:
        content = json.loads(reply)
    except ValueError:
        content = None
    error = content.get("error", content) if isinstance(content, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    message = " ".join(str(text or reply[:400].decode(errors="replace") or "nothing").split())
    return message if len(message) <= 200 else f"{message[:199]}…"


def _pause_s(attempt: int, retry_after: str) -> float:
    """Half a second, doubled at each attempt, or what the service asks for if that is longer; at most MAX_PAUSE_S."""
    requested = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return min(max(0.5 * 2.0 ** (attempt - 1), requested), MAX_PAUSE_S)


def _split_address(address: str) -> Any:
    """The parts of an address, as urlsplit gives them. Raises ConfigError when it cannot be split."""
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError as e:
        raise ConfigError(f"[language_model] address {address!r}: {e}", 'Write, say, "http://127.0.0.1:8000/v1"') from e
    return url


def _is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
