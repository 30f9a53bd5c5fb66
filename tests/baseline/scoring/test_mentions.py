"""Body language named in text: by names, aliases and halves, with times, and found again in our own drafts."""

from __future__ import annotations

from pathlib import Path

import pytest

from deemo_data.baseline.scoring.mentions import ClassNames, Mention, find_mentions
from deemo_data.labels import vocabulary
from deemo_data.preannotation.clues import draft_clues
from tests.makers.measures import event, looked, made_up

EMOTIONS = vocabulary.load_emotions("emotions")
NFBL = vocabulary.load_nfbl("nfbl")
NAMES = ClassNames.of(NFBL.labels, NFBL)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Folding arms is seen from 2.0 to 3.4 s (1.4 s).", [("Folding arms", [(2.0, 3.4)])]),
        ("She folds her arms.", [("Folding arms", [])]),
        ("With arms folded, nothing else.", [("Folding arms", [])]),
        ("He is rubbing his hands from 0:01 - 0:03", [("Rubbing or holding hands", [(1, 3)])]),
        ("holding hands throughout", [("Rubbing or holding hands", [(0, 10)])]),
        ("Between 2 and 4.5 seconds they touched their jaw", [("Touching jaw", [(2, 4.5)])]),
        ("From 8.2 s to the end, the person scratches the forehead.", [("Touching or scratching forehead", [(8.2, 10)])]),
        ("Folding arms from 1 to 2 s and 3-4 s; moving torso.", [("Folding arms", [(1, 2), (3, 4)]), ("Moving torso", [])]),
        ("Folding arms. This lasts from 1 to 2 s.", [("Folding arms", [(1, 2)])]),
        ("There is no folding of arms, but the torso moves.", [("Moving torso", [])]),
        ("Folding paper, arms at the side", []),
        ("It does not show crossed fingers. Crossed fingers!", [("Crossing fingers", [])]),
        ("Head up at 3 s, 2 to 4 times", [("Head up", [])]),
        ("The head is heavy. From 5 to 4 s.", []),
        ("Buckle button, pulling shirt collar, adjusting tie from 0 to 1 s", [("Button or collar or tie", [(0, 1)])]),
        (
            "touching or scratching head (0.5–1.5 s), touching hat",
            [("Touching or scratching head", [(0.5, 1.5)]), ("Touching hat", [])],
        ),
        ("deep breath", [("Bulging face or deep breath", [])]),
        ("", []),
    ],
)  # fmt: skip
def test_body_language_is_found_in_text(text: str, found: list[tuple[str, list[tuple[float, float]]]]) -> None:
    assert find_mentions(text, NAMES, 10.0) == tuple(Mention(label, tuple(spans)) for label, spans in found)


def test_every_class_is_found_by_its_name_and_its_aliases() -> None:
    for c in NFBL.classes:
        for spelling in (c.name, *c.aliases):
            assert [m.label for m in find_mentions(f"It shows {spelling.lower()} from 1.0 to 2.0 s.", NAMES, 9)] == [c.name], (
                spelling
            )


def test_classes_of_ones_own_need_no_vocabulary() -> None:
    names = ClassNames.of(["Shrugging", "Tapping or drumming table", "Tapping or kicking table"])
    assert [m.label for m in find_mentions("He shrugs and is drumming the table", names, 9)] == [
        "Shrugging",
        "Tapping or drumming table",
    ]
    assert find_mentions("tapping the table", names, 9) == (), "which of the two is not said"


def test_what_our_own_drafts_say_is_found_again(tmp_path: Path) -> None:
    clip = made_up(tmp_path, "c-1")  # of 10 s
    folded, up = (event(clip, 400, 1600), event(clip, 2400, 3200)), event(clip, 8000, 10_000, "Head up")
    text = draft_clues(clip, [looked(clip), *folded, up], NFBL, EMOTIONS, [clip]).video
    assert find_mentions(text, NAMES, 10.0) == (
        Mention("Folding arms", ((0.4, 1.6), (2.4, 3.2))),
        Mention("Head up", ((8.0, 10.0),)),
    ), text
