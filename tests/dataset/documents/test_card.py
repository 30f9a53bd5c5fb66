"""The card: counts, agreement and attacks as they were measured, terms, and what the Hub reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deemo_data.dataset.documents import statements
from tests.makers.documents import build_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (build_dataset(tmp_path_factory.mktemp("card"), contact="privacy@example.org") / "README.md").read_text()


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
    text = (build_dataset(tmp_path, {}) / "README.md").read_text()
    assert "How far annotators agree was not measured." in text
    assert "Nobody has attacked these clips" in text
    assert statements.OWNER_ANSWERS in text, "nobody said whom to write to"


def test_stronger_attacks_stand_beside_those_of_the_audit(made: str, tmp_path: Path) -> None:
    privacy = made[made.index("## Privacy") : made.index("## Access")]
    assert "on test footage of deemo_data and not on these clips" in privacy
    assert "histogram gave 90 %" in privacy
    assert "CAM++" in privacy
    assert "about 20 pixels" in privacy
    assert "English speech only" in privacy
    unattacked = (build_dataset(tmp_path, {}) / "README.md").read_text()
    assert all(sentence in unattacked for sentence in statements.STRONGER_ATTACKS), "they do not depend on an audit"


def test_limits_come_from_counts(made: str) -> None:
    assert "1 of 6 clips were looked at by nobody" in made
    assert "1 of 6 clips were looked at by one person only" in made
    assert "Always answering 'happy' is right for 80% of them" in made
    assert "For 6 of 6 clips it is one statement that was given for all recordings." in made
    assert "5 subjects: what is learnt from so few people says little about others." in made


def test_prohibited_uses(made: str) -> None:
    for words in statements.PROHIBITED_USES:
        assert f"- {words}" in made
    assert "Article 5(1)(f)" in made
    assert "anonymous" not in made.replace("not anonymous", "")


def test_whoever_wants_access_is_asked(made: str, tmp_path: Path) -> None:
    head = front(made)
    assert head["extra_gated_prompt"] == statements.DEFAULT_TERMS
    assert head["extra_gated_fields"] == statements.ACCESS_FORM_FIELDS
    assert head["license_name"] == "on-request"
    assert statements.DEFAULT_TERMS in made.split("---\n", 2)[2], "people read the terms before they ask"
    assert "privacy@example.org" in made
    own = (build_dataset(tmp_path / "own", {}, terms="Only on Sundays.") / "README.md").read_text()
    assert front(own)["extra_gated_prompt"] == "Only on Sundays."
    open_ = (build_dataset(tmp_path / "open", {}, gated=False) / "README.md").read_text()
    assert not [key for key in front(open_) if key.startswith("extra_gated")]


def test_the_loader_finds_its_way(made: str) -> None:
    head = front(made)
    assert [c["config_name"] for c in head["configs"]] == ["nfbl", "mer"]
    assert head["configs"][0]["default"] is True
    infos = {i["config_name"]: i for i in head["dataset_info"]}
    assert sum(s["num_examples"] for s in infos["mer"]["splits"]) == 5
    assert head["size_categories"] == ["n<1K"]
