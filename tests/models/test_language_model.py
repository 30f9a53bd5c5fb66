"""The language model's path, against a real HTTP server on loopback that remembers every byte, also when it is dead or slow."""

from __future__ import annotations

import json
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from deemo_data.errors import ConfigError, ModelError
from deemo_data.models import language_model as lm
from deemo_data.models.language_model import FolderCache, LanguageModel, Prompt, ask
from tests.makers.language_model import (
    StandIn,
    always,
    completion,
    stand_in,  # noqa: F401
)


class Mood(BaseModel, extra="forbid"):
    mood: str = Field(min_length=1)
    strength: int = Field(ge=0, le=10)


GOOD = {"mood": "calm", "strength": 3}
PROMPT = Prompt("Say the mood.", "They say hello.")


def model(stand_in: StandIn, **more: Any) -> LanguageModel:
    return LanguageModel(**{"address": stand_in.address, "model": "stub-1", "timeout_s": 5.0, "retries": 2, **more})


def asked(how: LanguageModel, tmp_path: Path, **more: Any) -> Mood:
    return ask(how, PROMPT, Mood, FolderCache(tmp_path / "private" / "language_model"), pause=lambda s: None, **more)


def test_an_answer_is_asked_for_by_schema_checked_and_kept(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(200, completion(GOOD))]
    assert asked(model(stand_in), tmp_path) == Mood(**GOOD)
    (body,) = stand_in.bodies
    assert body["response_format"]["json_schema"]["schema"] == Mood.model_json_schema()
    assert (body["model"], body["temperature"], body["messages"][1]["content"]) == ("stub-1", 0, PROMPT.user)
    assert b"Authorization" not in stand_in.got[0], "no key was named"
    (kept,) = (tmp_path / "private" / "language_model").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert json.loads(kept.read_text())["asked"] == body["messages"], "what left is written down"
    assert asked(model(stand_in), tmp_path) == Mood(**GOOD)
    assert len(stand_in.got) == 1, "it was asked once"


def test_an_answer_that_an_older_release_kept_is_still_read(tmp_path: Path) -> None:
    """The name of the file is the digest of the question, written before FolderCache existed. It must not change."""
    (tmp_path / "89f2c503e1a414e67c6222e04e024563ba18c3d2e885d60ecaf449f5c21b60dc.json").write_text(json.dumps({"answer": GOOD}))
    nobody = LanguageModel(address="http://127.0.0.1:9/v1", model="stub-1", retries=0)
    assert ask(nobody, PROMPT, Mood, FolderCache(tmp_path)) == Mood(**GOOD)


@pytest.mark.parametrize("change", [{"model": "stub-2"}, {"temperature": 0.5}, {"max_tokens": 100}])
def test_another_model_is_asked_anew(stand_in: StandIn, tmp_path: Path, change: dict[str, Any]) -> None:
    stand_in.answers = [always(200, completion(GOOD))]
    asked(model(stand_in), tmp_path)
    asked(model(stand_in, **change), tmp_path)
    assert len(stand_in.got) == 2


def test_another_version_or_a_damaged_file_is_asked_anew(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.answers = [always(200, completion(GOOD))]
    asked(model(stand_in), tmp_path)
    (kept,) = (tmp_path / "private" / "language_model").iterdir()
    kept.write_text('{"answer": {"mood"')
    assert asked(model(stand_in), tmp_path) == Mood(**GOOD)
    monkeypatch.setattr(lm, "VERSION", lm.VERSION + 1)
    asked(model(stand_in), tmp_path)
    assert len(stand_in.got) == 3


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_schemas_is_asked_in_words(stand_in: StandIn, tmp_path: Path, status: int) -> None:
    declined = always(status, b'{"error": {"message": "response_format is not supported"}}')
    stand_in.answers = [declined, always(200, completion(f"Sure! Here it is:\n```json\n{json.dumps(GOOD)}\n```"))]
    assert asked(model(stand_in), tmp_path) == Mood(**GOOD)
    assert "response_format" not in stand_in.bodies[1]
    assert json.dumps(Mood.model_json_schema()) in stand_in.bodies[1]["messages"][0]["content"]


def test_nonsense_is_asked_for_once_more_in_words_and_then_given_up(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(200, completion("I feel calm today.")), always(200, completion(GOOD))]
    assert asked(model(stand_in), tmp_path) == Mood(**GOOD)
    stand_in.answers = [always(200, completion({"mood": "calm", "strength": 99}))]
    with pytest.raises(ModelError, match="gives no answer that can be used: strength: Input should be less than"):
        asked(model(stand_in, model="stub-2"), tmp_path)
    assert len(stand_in.got) == 4
    assert len(list((tmp_path / "private" / "language_model").iterdir())) == 1, "nonsense is not kept"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>hello</html>", "it is no chat completion"),
        (b"[]", "it is no chat completion"),
        (b'{"choices": []}', "it is no chat completion"),
        (completion('{"mood": "calm", "stren', ended="length"), "cut off; raise max_tokens"),
        (b'{"choices": [{"message": {"content": null}}]}', "it says nothing"),
        (completion("no idea"), "no JSON of the form"),
        (completion({"mood": "calm"}), "strength: Field required"),
        (completion({**GOOD, "name": "x"}), "name: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(stand_in: StandIn, tmp_path: Path, body: bytes, says: str) -> None:
    stand_in.answers = [always(200, body)]
    with pytest.raises(ModelError, match=says) as e:
        asked(model(stand_in), tmp_path)
    assert "\n" not in str(e.value)
    assert "stub-1" in e.value.what
    assert "fallback = true" in e.value.advice


def test_an_answer_of_the_right_form_may_still_be_wrong(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(200, completion(GOOD))]
    with pytest.raises(ModelError, match="it is too calm"):
        asked(model(stand_in), tmp_path, check=lambda mood: "it is too calm")


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_who_is_busy_is_asked_again_and_longer_each_time(stand_in: StandIn, tmp_path: Path, status: int) -> None:
    busy = always(status, b'{"error": {"message": "too many"}}')
    stand_in.answers = [busy, always(status, b"", **{"Retry-After": "7"}), always(200, completion(GOOD))]
    waited: list[float] = []
    assert ask(model(stand_in), PROMPT, Mood, FolderCache(tmp_path), pause=waited.append) == Mood(**GOOD)
    assert waited == [0.5, 7.0]
    stand_in.answers = [busy]
    with pytest.raises(ModelError, match=f"is busy or broken \\(status {status}\\): too many; it was asked 3 times"):
        asked(model(stand_in, model="stub-2"), tmp_path)


def test_nobody_is_waited_for_longer_than_half_a_minute(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(429, b"", **{"Retry-After": "86400"}), always(200, completion(GOOD))]
    waited: list[float] = []
    ask(model(stand_in), PROMPT, Mood, FolderCache(tmp_path), pause=waited.append)
    assert waited == [30.0]


def test_a_dead_server_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    how = LanguageModel(address=f"http://127.0.0.1:{port}/v1", model="stub-1", retries=1)
    with pytest.raises(ModelError, match=f"at 127.0.0.1:{port} cannot be reached or breaks off .*; it was asked 2 times") as e:
        asked(how, tmp_path)
    assert "\n" not in str(e.value)


def test_a_slow_server_is_one_line_and_nobody_waits(stand_in: StandIn, tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.8)
        return 200, {}, completion(GOOD)

    stand_in.answers, begun = [slow], time.monotonic()
    with pytest.raises(ModelError, match=r"did not answer within 0\.2 s"):
        asked(model(stand_in, timeout_s=0.2, retries=0), tmp_path)
    assert time.monotonic() - begun < 0.7


def test_a_server_that_answers_in_drops_is_slow_too(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers, stand_in.drip_s = [always(200, completion(GOOD))], 0.05
    begun = time.monotonic()
    with pytest.raises(ModelError, match=r"did not answer within 0\.3 s"):
        asked(model(stand_in, timeout_s=0.3, retries=0), tmp_path)
    assert time.monotonic() - begun < 1


def test_an_answer_that_breaks_off_is_asked_for_again(stand_in: StandIn, tmp_path: Path) -> None:
    half = always(200, completion(GOOD)[:30], **{"Content-Length": "5000", "Connection": "close"})
    stand_in.answers = [half, always(200, completion(GOOD))]
    assert asked(model(stand_in), tmp_path) == Mood(**GOOD)
    assert len(stand_in.got) == 2


def test_an_endless_answer_is_not_read(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm, "MAX_ANSWER_BYTES", 1000)
    stand_in.answers = [always(200, b"x" * 5000)]
    with pytest.raises(ModelError, match="cannot be reached or breaks off"):
        asked(model(stand_in, retries=0), tmp_path)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(stand_in: StandIn, tmp_path: Path, status: int) -> None:
    other = StandIn()
    try:
        other.answers = [always(200, completion(GOOD))]
        stand_in.answers = [always(status, b"", Location=f"{other.address}/chat/completions")]
        with pytest.raises(ModelError, match=r"sends us on to 127\.0\.0\.1:.*nothing is sent there"):
            asked(model(stand_in), tmp_path)
        assert (len(stand_in.got), other.got) == (1, [])
    finally:
        other.close()


def test_an_unknown_model_is_one_line(stand_in: StandIn, tmp_path: Path) -> None:
    gone = {"error": {"message": "The model `stub-1` does not exist", "code": "model_not_found"}}
    stand_in.answers = [always(404, json.dumps(gone).encode())]
    with pytest.raises(ModelError, match=r"is not there \(status 404\): The model `stub-1` does not exist. Compare model and"):
        asked(model(stand_in), tmp_path)
    assert len(stand_in.got) == 1, "asking again would not help"
    stand_in.answers = [always(400, json.dumps({"error": "model not loaded"}).encode())]
    with pytest.raises(ModelError, match=r"declines \(status 400\): model not loaded"):
        asked(model(stand_in), tmp_path)


def test_the_key_is_sent_and_shown_to_nobody(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", "sk-very-secret")
    stand_in.answers = [always(401, b'{"error": {"message": "Incorrect key: sk-very-secret"}}')]
    with pytest.raises(ModelError, match=r"does not let us in .*Incorrect key: ….*OUR_KEY") as e:
        asked(model(stand_in, key_env="OUR_KEY"), tmp_path)
    assert "sk-very-secret" not in str(e.value)
    assert b"Authorization: Bearer sk-very-secret" in stand_in.got[0]
    stand_in.answers = [always(200, completion(GOOD))]
    asked(model(stand_in, key_env="OUR_KEY"), tmp_path)
    (kept,) = (tmp_path / "private" / "language_model").iterdir()
    assert "sk-very-secret" not in kept.read_text()
    monkeypatch.delenv("OUR_KEY")
    with pytest.raises(ConfigError, match="OUR_KEY holds no key"):
        asked(model(stand_in, key_env="OUR_KEY", model="stub-2"), tmp_path)


def test_proxies_of_the_environment_are_not_used(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = StandIn()
    try:
        proxy.answers = [always(200, completion({**GOOD, "mood": "by the proxy"}))]
        stand_in.answers = [always(200, completion(GOOD))]
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address.removesuffix("/v1"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert asked(model(stand_in), tmp_path).mood == "calm"
        assert proxy.got == []
        assert asked(model(stand_in, environment=True, model="stub-2"), tmp_path).mood == "by the proxy"
    finally:
        proxy.close()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"address": "example.org/v1"}, "is none"),
        ({"address": "ftp://example.org/v1"}, "is none"),
        ({"address": "http://example.org:x/v1"}, "address"),
        ({"address": "http://me:secret@example.org/v1"}, "a user or a password"),
        ({"address": "http://127.0.0.1/v1", "model": ""}, "no model"),
        ({"address": "http://example.org/v1", "key_env": "K"}, "readable for everybody"),
    ],
)
def test_addresses_that_are_refused(said: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as e:
        LanguageModel(**({"model": "m"} | said))
    assert "secret" not in str(e.value)


def test_nothing_is_wanted_by_default_and_the_table_has_bounds() -> None:
    assert not LanguageModel().is_configured
    assert not LanguageModel().fallback
    table = TypeAdapter(LanguageModel)
    assert table.validate_python({"address": "https://example.org/v1", "model": "m", "key_env": "K"}).host == "example.org"
    for wrong in ({"timeout_s": 0}, {"retries": -1}, {"temperature": 3}, {"max_tokens": 1}):
        with pytest.raises(ValidationError):
            table.validate_python(wrong)
