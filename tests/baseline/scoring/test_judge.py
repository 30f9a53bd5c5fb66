"""A judge at a real HTTP server on loopback: what it is sent, what is made of its scores, and what happens when it is broken."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.scoring import judge as judging
from deemo_data.baseline.scoring.judge import Judge, load_prompts, score_by_judge
from deemo_data.errors import ConfigError, DatasetError, ModelError
from tests.makers.answers import make_example
from tests.makers.language_model import StandIn, always, completion

CLIPS = [
    make_example(
        "c-secret-1", "s-hidden-1", "sad", reasoning="The gaze drops and the voice falls: sadness.", transcript="my own words"
    ),
    make_example(
        "c-secret-2", "s-hidden-2", "happy", clues={"video": "She folds her arms.", "audio": "", "text": "Joy is in it."}
    ),
    make_example("c-secret-3", "s-hidden-3", "angry", reasoning="Fists tap the table; anger."),
]
RUN = [
    Answer("c-secret-1", "sad", text="sad", reasoning="The voice falls."),
    Answer("c-secret-2", "sad", clues={"video": "She drops her gaze.", "audio": "", "text": ""}),
    Answer("c-secret-3", None),
]


class FakeJudge:
    """Answers as a judge would. clue, label: the score of the n-th such question (over all clips)."""

    def __init__(self, clue: Callable[[int], Any] = lambda n: 6, label: Callable[[int], Any] = lambda n: 8) -> None:
        self.scores = {"clue": clue, "label": label}
        self.counts = {"clue": 0, "label": 0, "emotions": 0}
        self.lock = threading.Lock()

    def __call__(self, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        system, about = asked["messages"][0]["content"], json.loads(asked["messages"][1]["content"])
        kind = "emotions" if "description" in about else "clue" if isinstance(about["true"], str) else "label"
        assert kind != "clue" or "sum up" in system
        with self.lock:
            n = self.counts[kind]
            self.counts[kind] += 1
        if kind == "emotions":
            words = [w for w in ("sad", "happy", "angry") if f"Emotion: {w}" in about["description"]]
            return 200, {}, completion({"emotions": words})
        made = {"reason": "so it is", "score": self.scores[kind](n)}
        return 200, {}, completion(made | ({"true_summary": "a", "predicted_summary": "b"} if kind == "clue" else {}))


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


def ask(stand_in: StandIn, ledger: Path, run: list[Answer] = RUN, **more: Any) -> dict[str, Any]:
    who = Judge.at(stand_in.address, "stub-1", **{"repeats": 2, "timeout_s": 5.0, "retries": 1} | more)
    return score_by_judge(CLIPS, run, who, ledger, rounds=50, pause=lambda s: None)


def rows(ledger: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.read_text("utf-8").splitlines()]


def test_scores_are_averaged_over_clips_and_who_gives_no_reasons_has_none(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge()]
    told = ask(stand_in, tmp_path / "judge.jsonl")
    assert told["clue_overlap"]["value"] == pytest.approx((6 + 6 + 0) / 3)
    assert told["label_overlap"]["value"] == pytest.approx((8 + 8 + 0) / 3)
    assert told["clue_overlap"]["by_repeat"] == [4.0, 4.0]
    assert (told["clue_overlap"]["clips"], told["clue_overlap"]["without_reasons"]) == (3, 1)
    assert told["clue_overlap"]["between_repeats"] == told["clue_overlap"]["within_clips"] == 0
    assert told["clue_overlap"]["unusable"] == told["label_overlap"]["unusable"] == 0
    assert told["questions"] == {"asked": 16, "kept": 0, "unusable": 0}
    assert told["judge"] == {
        "model": "stub-1", "host": stand_in.address[7:-3], "temperature": 0.0, "max_tokens": 2000, "repeats": 2,
        "prompts": "deemo-judge-en 1", "digest": load_prompts().digest, "language": "en", "range": [0, 10],
    }  # fmt: skip


def test_repeats_that_differ_give_a_mean_and_a_spread(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge(clue=lambda n: 4 if n < 2 else 8)]
    told = ask(stand_in, tmp_path / "judge.jsonl", RUN[:2], parallel=1)["clue_overlap"]
    assert told["by_repeat"] == [pytest.approx(8 / 3), pytest.approx(16 / 3)]
    assert told["value"] == pytest.approx(4)
    assert told["between_repeats"] == pytest.approx((8 / 3) / 2**0.5, abs=1e-5)
    assert told["within_clips"] == pytest.approx((2 * 4 / 2**0.5 + 0) / 3, abs=1e-5)


def test_intervals_are_over_subjects(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge(clue=lambda n: n)]
    clips = [make_example(f"c{n}", f"s{n}", "sad", reasoning=f"reason {n}") for n in range(7)]
    who = Judge.at(stand_in.address, "stub-1", repeats=1)
    told = score_by_judge(clips, [Answer(c.clip_id, "sad", reasoning="x") for c in clips], who, tmp_path / "j.jsonl", rounds=500)
    assert told["clue_overlap"]["low"] < told["clue_overlap"]["value"] < told["clue_overlap"]["high"]
    assert told["clue_overlap"]["between_repeats"] is None


def test_only_what_is_published_and_the_answer_leave(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge()]
    ask(stand_in, tmp_path / "judge.jsonl")
    sent = b"".join(stand_in.got)
    for there in (b"The gaze drops", b"She folds her arms", b"The voice falls.", b"Joy is in it"):
        assert there in sent
    for private in (b"secret", b"hidden", b"my own words", b"x.mp4", b"x.parquet", str(tmp_path).encode()):
        assert private not in sent


def test_every_word_is_kept_and_nothing_is_asked_twice(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge(clue=lambda n: n)]
    ledger = tmp_path / "out" / "judge.jsonl"
    once = ask(stand_in, ledger)
    many, kept = len(stand_in.got), rows(ledger)
    assert len(kept) == many == 16
    assert {r["question"] for r in kept} == {"clue_overlap", "emotions", "label_overlap"}
    assert {r["repeat"] for r in kept} == {0, 1}
    for r in kept:
        assert json.loads(json.loads(r["replies"][0])["choices"][0]["message"]["content"]) == r["answer"]
        assert (r["prompts"], r["model"], r["why"]) == (load_prompts().digest, "stub-1", "")
        assert r["asked"][0]["content"] == getattr(load_prompts(), r["question"])
    again = ask(stand_in, ledger)
    assert len(stand_in.got) == many
    assert again["questions"] == {"asked": 0, "kept": 16, "unusable": 0}
    assert again["clue_overlap"] == once["clue_overlap"]
    ask(stand_in, ledger, repeats=3)
    assert len(stand_in.got) == many + 8, "only the third repeat"


@pytest.mark.parametrize("change", ["prompts", "temperature"])
def test_another_way_of_asking_is_asked_anew(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    from dataclasses import replace

    stand_in.answers = [FakeJudge()]
    ask(stand_in, tmp_path / "judge.jsonl", repeats=1)
    if change == "prompts":
        other = replace(load_prompts(), clue_overlap="Now sum up otherwise.", emotions="Which?", label_overlap="How far?")
        monkeypatch.setattr(judging, "load_prompts", lambda: other)
        ask(stand_in, tmp_path / "judge.jsonl", repeats=1)
    else:
        ask(stand_in, tmp_path / "judge.jsonl", repeats=1, temperature=0.7)
    assert len(stand_in.got) == 16


def test_a_ledger_of_an_older_release_is_still_read(stand_in: StandIn, tmp_path: Path) -> None:
    """The keys were written before the judge shared language_model.ask. They must not change: an evaluation may cost money."""
    kept = {
        "61c238c67fbe9264bb5c7ac398de389e5b9a081e65df1e2b6890cec6f64115da": {
            "true_summary": "a", "predicted_summary": "b", "reason": "so it is", "score": 6.0,
        },
        "89f768655049779f5b84204e131f44ee3e88d36502a533dfe64b4c4210a4e8b9": {"emotions": ["sad"]},
        "942ae6901b04d399a0aac6f91d92ef6d05264928ec3bfa3ba48c4a408a0058b6": {"emotions": ["sad"]},
        "05a01638a67183fa8bbe791bef433e945cea5cd66320be2c336926e67fb7eb4b": {"reason": "so it is", "score": 8.0},
    }  # fmt: skip
    ledger = tmp_path / "judge.jsonl"
    ledger.write_text("".join(json.dumps({"key": key, "answer": answer}) + "\n" for key, answer in kept.items()))
    nobody = Judge.at("http://127.0.0.1:9/v1", "stub-1", repeats=1, retries=0)
    report = score_by_judge(CLIPS[:1], RUN[:1], nobody, ledger, rounds=50)
    assert report["questions"] == {"asked": 0, "kept": 4, "unusable": 0}
    assert (report["clue_overlap"]["value"], report["label_overlap"]["value"]) == (6.0, 8.0)


def test_the_schemas_keep_their_names(stand_in: StandIn, tmp_path: Path) -> None:
    """A judge is sent the same questions as before the answer classes were renamed."""
    stand_in.answers = [FakeJudge()]
    ask(stand_in, tmp_path / "judge.jsonl")
    sent = [json.loads(body[body.index(b"{") :])["response_format"]["json_schema"] for body in stand_in.got]
    assert {schema["name"] for schema in sent} == {"Compared", "Named", "Overlap"}
    assert all(schema["name"] == schema["schema"]["title"] for schema in sent)


def test_a_run_that_was_killed_goes_on(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge()]
    ledger = tmp_path / "judge.jsonl"
    ask(stand_in, ledger)
    lines = ledger.read_text("utf-8").splitlines(keepends=True)
    ledger.write_text("".join(lines[:9]) + lines[9][:40], "utf-8")
    told = ask(stand_in, ledger)
    assert told["questions"] == {"asked": 7, "kept": 9, "unusable": 0}
    assert len([line for line in ledger.read_text("utf-8").splitlines() if not line.endswith("}")]) == 1
    assert ask(stand_in, ledger)["questions"]["asked"] == 0


@pytest.mark.parametrize("score", [11, -1, 10.01, "very high", None, float("nan"), [5]])
def test_a_score_out_of_range_is_none_and_counted(stand_in: StandIn, tmp_path: Path, score: Any) -> None:
    """Of two clips with reasons the first one's clue scores cannot be used: the mean is over the others, and says so."""

    def clue(asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        about = json.loads(asked["messages"][1]["content"])
        if isinstance(about.get("true"), str) and "gaze drops and" in about["true"]:
            return 200, {}, completion({"true_summary": "", "predicted_summary": "", "reason": "", "score": score})
        return good(asked)

    good = FakeJudge()
    stand_in.answers = [clue]
    told = ask(stand_in, tmp_path / "judge.jsonl", repeats=1)
    assert told["clue_overlap"]["value"] == pytest.approx((6 + 0) / 2)
    assert (told["clue_overlap"]["unusable"], told["clue_overlap"]["clips"]) == (1, 3)
    assert told["label_overlap"]["unusable"] == 0
    assert told["questions"]["unusable"] == 1
    (row,) = [r for r in rows(tmp_path / "judge.jsonl") if r["answer"] is None]
    assert row["why"]
    assert len(row["replies"]) == 2, "it was asked once more, with the form in words"


def test_what_could_not_be_used_is_asked_again_the_next_time(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge(clue=lambda n: 99)]
    assert ask(stand_in, tmp_path / "judge.jsonl")["clue_overlap"]["unusable"] == 4
    stand_in.answers = [FakeJudge()]
    told = ask(stand_in, tmp_path / "judge.jsonl")
    assert (told["clue_overlap"]["unusable"], told["questions"]["asked"]) == (0, 4)


def test_a_decline_of_one_clip_does_not_stop_the_others(stand_in: StandIn, tmp_path: Path) -> None:
    good = FakeJudge()

    def filtered(asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if "Fists" in asked["messages"][1]["content"]:
            return 400, {}, b'{"error": {"message": "content filter"}}'
        return good(asked)

    stand_in.answers = [filtered]
    run = [*RUN[:2], Answer("c-secret-3", "angry", reasoning="Anger shows.")]
    told = ask(stand_in, tmp_path / "judge.jsonl", run)
    assert told["clue_overlap"]["value"] == 6
    assert (told["clue_overlap"]["unusable"], told["label_overlap"]["unusable"]) == (2, 2)
    assert any("content filter" in r["why"] for r in rows(tmp_path / "judge.jsonl"))


@pytest.mark.parametrize(
    "body", [b"<html>welcome</html>", b"", completion("I would rather not say."), completion({"verdict": 7})]
)
def test_a_judge_that_says_nothing_usable_is_one_line(stand_in: StandIn, tmp_path: Path, body: bytes) -> None:
    stand_in.answers = [always(200, body)]
    clips = [make_example(f"c{n}", f"s{n}", "sad", reasoning=f"reason {n}") for n in range(30)]
    run = [Answer(c.clip_id, "sad", reasoning="x") for c in clips]
    with pytest.raises(ModelError, match=r"the judge 'stub-1' at 127\.0\.0\.1:\d+ gave 1\d answers, and none can be used") as e:
        score_by_judge(clips, run, Judge.at(stand_in.address, "stub-1"), tmp_path / "judge.jsonl", pause=lambda s: None)
    assert "\n" not in str(e.value)
    assert len(stand_in.got) < 40, "it is not asked 360 times"
    assert "judge.jsonl" in e.value.advice


def test_a_dead_judge_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    who = Judge.at(f"http://127.0.0.1:{port}/v1", "stub-1", retries=1)
    with pytest.raises(ModelError, match=f"the judge 'stub-1' at 127.0.0.1:{port} cannot be reached") as e:
        score_by_judge(CLIPS, RUN, who, tmp_path / "judge.jsonl", pause=lambda s: None)
    assert "--judge" in e.value.advice
    assert "deemo.toml" not in str(e.value)


def test_a_judge_that_dies_half_way_leaves_what_it_said(stand_in: StandIn, tmp_path: Path) -> None:
    good = FakeJudge()
    stand_in.answers = [*[good] * 5, always(503, b"")]
    with pytest.raises(ModelError, match=r"the judge .* is busy or broken \(status 503\)"):
        ask(stand_in, tmp_path / "judge.jsonl", parallel=1)
    assert len(rows(tmp_path / "judge.jsonl")) == 5
    stand_in.answers = [good]
    assert ask(stand_in, tmp_path / "judge.jsonl")["questions"] == {"asked": 11, "kept": 5, "unusable": 0}


def test_a_judge_that_shuts_the_door_is_not_asked_on(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(401, b'{"error": "who are you?"}')]
    clips = [make_example(f"c{n}", f"s{n}", "sad", reasoning=f"reason {n}") for n in range(40)]
    run = [Answer(c.clip_id, "sad", reasoning="x") for c in clips]
    with pytest.raises(ModelError, match=r"the judge .* does not let us in \(status 401\): who are you"):
        score_by_judge(
            clips, run, Judge.at(stand_in.address, "stub-1", parallel=2), tmp_path / "judge.jsonl", pause=lambda s: None
        )
    assert len(stand_in.got) < 10, "of 480 questions"


def test_a_slow_judge_is_one_line_and_nobody_waits(stand_in: StandIn, tmp_path: Path) -> None:
    def slow(asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.6)
        return FakeJudge()(asked)

    stand_in.answers, begun = [slow], time.monotonic()
    with pytest.raises(ModelError, match=r"the judge .* did not answer within 0\.2 s"):
        ask(stand_in, tmp_path / "judge.jsonl", timeout_s=0.2, retries=0)
    assert time.monotonic() - begun < 2


def test_several_questions_are_under_way_at_a_time(stand_in: StandIn, tmp_path: Path) -> None:
    under_way, most, good = [0], [0], FakeJudge()

    def counting(asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        with good.lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.03)
        with good.lock:
            under_way[0] -= 1
        return good(asked)

    stand_in.answers = [counting]
    ask(stand_in, tmp_path / "judge.jsonl", parallel=3)
    assert 1 < most[0] <= 3


def test_the_key_is_sent_and_kept_nowhere(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    good = FakeJudge()

    def echoing(asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = good(asked)
        return status, headers, body.replace(b'"id": "x"', b'"id": "sk-very-secret"')

    stand_in.answers = [echoing]
    ask(stand_in, tmp_path / "judge.jsonl", key_env="JUDGE_KEY")
    assert b"Bearer sk-very-secret" in stand_in.got[0]
    assert "sk-very-secret" not in (tmp_path / "judge.jsonl").read_text()


def test_a_key_in_a_complaint_is_kept_nowhere(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    good = FakeJudge()

    def declining(asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if "voice falls" in asked["messages"][1]["content"]:
            return 400, {}, b'{"error": {"message": "no credit left on sk-very-secret"}}'
        return good(asked)

    stand_in.answers = [declining]
    ask(stand_in, tmp_path / "judge.jsonl", key_env="JUDGE_KEY")
    assert any(row["why"] == "status 400: no credit left on …" for row in rows(tmp_path / "judge.jsonl"))
    assert "sk-very-secret" not in (tmp_path / "judge.jsonl").read_text()


def test_without_reasons_of_people_there_is_no_clue_overlap(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [FakeJudge()]
    clips = [make_example("c1", "s1", "sad"), make_example("c2", "s2", "happy")]
    told = score_by_judge(
        clips, [Answer("c1", "sad"), Answer("c2", "sad")], Judge.at(stand_in.address, "stub-1", repeats=1), tmp_path / "j.jsonl"
    )
    assert (told["clue_overlap"]["value"], told["clue_overlap"]["clips"]) == (None, 0)
    assert told["clue_overlap"]["why"] == "people wrote no reasons"
    assert told["label_overlap"]["value"] == 8


def test_what_is_typed_wrong_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"--judge address 'example\.org' is none"):
        Judge.at("example.org", "m")
    with pytest.raises(ConfigError, match=r"--judge has an address and no model\. Give --judge-model"):
        Judge.at("http://127.0.0.1/v1", "")
    with pytest.raises(ConfigError, match="at least once"):
        Judge.at("http://127.0.0.1/v1", "m", repeats=0)
    with pytest.raises(DatasetError, match="nothing to judge"):
        score_by_judge([], RUN, Judge.at("http://127.0.0.1/v1", "m"), Path("x"))


def test_the_prompts_say_their_range_and_have_a_digest_of_their_own() -> None:
    said = load_prompts()
    assert (said.language, len(said.digest)) == ("en", 16)
    for text in (said.clue_overlap, said.label_overlap):
        assert "from 0 to 10" in text
        assert "\n" not in text
    assert "sum up" in said.clue_overlap
    assert "do not follow" in said.clue_overlap
    assert "do not follow" in said.emotions
