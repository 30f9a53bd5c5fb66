"""The card: counts, agreement and attacks as they were measured, terms, and what the Hub reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from test_export import EMOTIONS, NFBL, make_clip, marked
from test_labels import said

from deemo_data import statements
from deemo_data.agreement import measure
from deemo_data.export import Export, Known, export

DAY = "2026-11-24"


def figure(
    value: float | None, low: float | None, high: float | None, chance: float | None, within: bool = False
) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "chance": chance, "n": 8, "unit": "clips", "within_chance": within}


def attack(name: str, measure: str, safer: str, hardened: dict[str, Any] | None) -> dict[str, Any]:
    cells = {"before": None, "hardened": hardened}
    return {"attack": name, "attacker": "dlib", "measure": measure, "cells": cells, "safer": safer, "weights": "", "note": ""}


PRIVACY: dict[str, Any] = {
    "schema": "deemo-privacy-1", "date": "2026-11-20", "profile": "hardened",
    "clips": {"in_project": 9, "attacked": 8, "subjects": 4},
    "channels": {
        "face": {"lines": [attack("knows originals", "rank-1", "low", figure(0.375, 0.2, 0.6, 0.25, True)),
                           attack("parrot", "rank-1", "low", figure(0.75, 0.6, 0.9, 0.25))], "use": []},
        "voice": {"lines": [attack("lazy", "EER", "high", figure(0.42, 0.35, 0.5, 0.5, True))], "use": []},
        "screen": {"lines": [attack("reads the picture", "words read", "low", None)], "use": []},
    },
}  # fmt: skip


def build(root: Path, known: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A dataset of six clips of five subjects, which two people labelled, with its documents."""
    root.mkdir(exist_ok=True)
    clips = [make_clip(root / "released", n, subject="s-00000004" if n == 5 else "") for n in range(6)]
    labels = []
    for n, clip in enumerate(clips[:5]):
        for who in ("a-1", "a-2")[: 2 if n else 1]:
            labels += [said("seen", "nfbl", clip, who), said("emotion", ("happy", "sad")[n == 3], clip, who)]
            labels += [marked(clip, 2, 8, who=who), *([marked(clip, 11, 14, "Head up", who)] if who == "a-1" else [])]
    agreed = measure(labels, clips, NFBL, EMOTIONS, [], rounds=20)
    told = Known(date=DAY, agreement=agreed, privacy=PRIVACY) if known is None else Known(date=DAY, **known)
    export(clips, labels, root / "dataset", nfbl=NFBL, emotions=EMOTIONS, settings=Export(**settings), known=told)
    return root / "dataset"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (build(tmp_path_factory.mktemp("card"), contact="privacy@example.org") / "README.md").read_text()


def front(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_counts(made: str) -> None:
    assert "6 clips of 5 subjects, 0.1 minutes, 10 body-language events, 5 emotion records. Version 1.0.0, 2026-11-24." in made
    rows = [line for line in made.splitlines() if line.startswith(("| train |", "| validation |", "| test |"))]
    assert len(rows) == 3
    assert sum(int(r.split("|")[2]) for r in rows) == 6
    assert sum(int(r.split("|")[6]) for r in rows) == 5
    assert "| Folding arms | self-protective | 5 | 5 | 5 | 0.2 |" in made
    assert made.index("| Folding arms |") < made.index("| Head up |")


def test_agreement_with_its_interval(made: str) -> None:
    assert "2 annotators; 4 of 6 clips were seen by two or more." in made
    assert "F1 " in made
    assert "Emotion: Krippendorff's alpha" in made


def test_the_attack_that_came_furthest_in_each_channel(made: str) -> None:
    assert "On 2026-11-20, recognisers attacked 8 of 9 clips of 4 subjects, made with the profile hardened." in made
    assert "| Face | dlib, parrot: rank-1 | 75 % (60 % to 90 %; 8 clips) | 25 % | better than guessing |" in made
    assert "| Voice | dlib, lazy: EER | 42 % (35 % to 50 %; 8 clips) | 50 % | guessing is within the interval |" in made
    assert "| On-screen text | nothing could be computed | – | – | not known |" in made
    assert "| Metadata | nothing could be computed |" in made


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    text = (build(tmp_path, {}) / "README.md").read_text()
    assert "How far annotators agree was not measured." in text
    assert "Nobody has attacked these clips" in text
    assert statements.OWNER in text, "nobody said whom to write to"


def test_limits_come_from_counts(made: str) -> None:
    assert "1 of 6 clips were looked at by nobody" in made
    assert "1 of 6 clips were looked at by one person only" in made
    assert "Always answering 'happy' is right for 80% of them" in made
    assert "For 6 of 6 clips it is one statement that was given for all recordings." in made
    assert "5 subjects: what is learnt from so few people says little about others." in made


def test_prohibited_uses(made: str) -> None:
    for words in statements.PROHIBITED:
        assert f"- {words}" in made
    assert "Article 5(1)(f)" in made
    assert "anonymous" not in made.replace("not anonymous", "")


def test_whoever_wants_access_is_asked(made: str, tmp_path: Path) -> None:
    head = front(made)
    assert head["extra_gated_prompt"] == statements.TERMS
    assert head["extra_gated_fields"] == statements.FIELDS
    assert head["license_name"] == "on-request"
    assert statements.TERMS in made.split("---\n", 2)[2], "people read the terms before they ask"
    assert "privacy@example.org" in made
    own = (build(tmp_path / "own", {}, terms="Only on Sundays.") / "README.md").read_text()
    assert front(own)["extra_gated_prompt"] == "Only on Sundays."
    open_ = (build(tmp_path / "open", {}, gated=False) / "README.md").read_text()
    assert not [key for key in front(open_) if key.startswith("extra_gated")]


def test_the_loader_finds_its_way(made: str) -> None:
    head = front(made)
    assert [c["config_name"] for c in head["configs"]] == ["nfbl", "mer"]
    assert head["configs"][0]["default"] is True
    infos = {i["config_name"]: i for i in head["dataset_info"]}
    assert sum(s["num_examples"] for s in infos["mer"]["splits"]) == 5
    assert head["size_categories"] == ["n<1K"]
