"""What the figures of a privacy.json mean: strongest attack, advantage over chance, verdict.

A line is one attack with one attacker and one measure. It has a cell (a figure) for each side: the unprotected originals, and
each profile that was attacked. The page, the card and the datasheet of a dataset all use these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

UNPROTECTED = "before"  # the side of the original footage
PLAIN_MEASURES = ("correlation", "shoulder widths")  # measures that are no shares
CHANNELS = (
    (
        "face",
        "Face",
        "A face recogniser compares the masked clips with other recordings of the same people. It is shown where the face was, "
        "so it always has something to look at; a stranger knows less.",
    ),
    ("voice", "Voice", "Speaker recognisers compare the changed voices with the originals, and with each other."),
    ("names", "Spoken names", "Somebody who has the list of names looks for them in what is heard and in what is written."),
    ("screen", "On-screen text", "What a text recogniser still reads of the text that the originals show."),
    ("body", "Body motion", "Only the published body points are known: build, posture and habits of movement."),
    ("metadata", "Metadata", "The files that would leave are searched for what the sources carried: tags, streams, names."),
)


def has_value(cell: dict[str, Any] | None) -> bool:
    """Whether a figure could be computed."""
    return cell is not None and cell["value"] is not None


def lines_with_figures(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that have a figure for any side; `list_remarks` of the page says why the others have none."""
    return [line for line in lines if any(has_value(cell) for cell in line["cells"].values())]


def chance_level(line: dict[str, Any]) -> float | None:
    """What guessing reaches; None for a measure without such a level."""
    return next((c["chance"] for c in line["cells"].values() if c and c["chance"] is not None), None)


def find_strongest(lines: Sequence[dict[str, Any]], side: str) -> dict[str, Any] | None:
    """The line whose attacker is furthest from guessing against a side. Those that are surely better than guessing go first."""

    def reached(line: dict[str, Any]) -> tuple[bool, float]:
        cell, ahead = line["cells"][side], advantage_over_chance(line, side)
        return cell["chance"] is not None and not cell["within_chance"] and cell["low"] is not None and ahead > 0, ahead

    return max((x for x in lines if has_value(x["cells"].get(side))), key=reached, default=None)


def advantage_over_chance(line: dict[str, Any], side: str) -> float:
    """How much better than guessing an attacker is: 0 is guessing, 1 is certainty, below 0 is worse."""
    cell = line["cells"][side]
    value, level = float(cell["value"]), cell["chance"]
    if line["safer"] == "high":
        return 1 - value / (level or 1)
    return (value - level) / (1 - level) if level is not None else value


def give_verdict(line: dict[str, Any], side: str) -> str:
    """What the figure of a side shows, in words: an interval that holds the chance level shows nothing."""
    cell = line["cells"][side]
    if cell["low"] is None:
        return "too few people for an interval"
    wide = cell["high"] - cell["low"] > 0.5
    if cell["chance"] is None:
        return ("none found" if not cell["value"] else "some found") + (", from too little to prove anything" if wide else "")
    if cell["within_chance"]:
        return "guessing is within the interval" + (", which is too wide to prove anything" if wide else "")
    return "better than guessing" if advantage_over_chance(line, side) > 0 else "worse than guessing"
