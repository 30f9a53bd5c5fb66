"""Privacy.json -> privacy.html and the terminal summary."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from deemo_data.reports.html import render
from deemo_data.reports.privacy_verdict import BEFORE, CHANNELS, PLAIN, chance, computed, has_value, strongest, verdict

ROW = 44  # px of one line in a plot
LEFT, RIGHT = 330, 880  # px between which the axis lies
BETWEEN = 11  # px between two sides of one line
TERMS = {
    "knows originals": "The attacker holds unmasked recordings of everybody, other than the one shown, and asks whose it is. "
    "Of a person with one recording, half of the frames are known and the other half is shown.",
    "parrot": "The attacker has learnt which masked clips belong together, and asks whose the next one is. Whatever the mask "
    "leaves (hair, clothes, background) helps.",
    "looks for a face": "A detector that took no part in the masking looks where the face was. Guessing has no level here.",
    "ignorant": "Enrolled on original voices, tried on changed ones.",
    "lazy": "Enrolled and tried on changed voices (lazy-informed).",
    "adapted": "As lazy, and the attacker's last step was trained on changed voices of other speakers. No network was retrained.",
    "lowest": "The lowest EER of all these on changed voices: the one to go by. Before: the lowest on originals.",
    "body points": "Whose clip is it, by the points alone: before, by all that were tracked; then by those that are published.",
    "highest": "The best of these on the published points: the one to go by. Before: the best on all points.",
    "reads the picture": "Of the words that a text recogniser reads in the originals, how many it still reads.",
    "looks for names": "Of the listed names that can be read in the originals, how many still can.",
    "reads the tags": "How many files say anything beside picture and sound: tags, chapters, further streams, signatures.",
    "searches the files": "Of what only the project knows (file names, names of subjects, digests), how much stands in a file "
    "that was released.",
    "listens to the clip": "Of the listed names that a speech recogniser hears in the originals, how many it still hears.",
    "reads the transcript": "Of the same names, how many the published transcript still has, misspelt or not.",
    "rank-1": "How often the first name the attacker gives is right. Lower is safer; guessing is right once in as many people.",
    "EER": "Equal error rate: shown pairs of one person and of two, he errs so often. Higher is safer; 50 % is guessing.",
    "singling out": "How often a statement that fits one person only can be made. Lower is safer.",
    "linkability": "How often a changed clip is linked to the right speaker among all. Lower is safer.",
}
NOT_SHOWN = (
    "What other attackers could do. No recogniser here was trained on masked pictures or changed voices; one that was would do "
    "better. Figures near guessing are the most that can be said for the protection, not the least.",
    "What people can do who know a subject: clothes, hair, room, gait, posture, wording and what is told are in the clips.",
    "What somebody can do who holds the footage itself: the clip that was made from it can be found.",
    "How it stands with many people. The attackers choose among the few in this project; a share of hits says little about a "
    "crowd, in either direction.",
    "Clips that were not drawn. Counts are at the top; others may be worse.",
    "That a figure proves anything because its interval holds the level of guessing: with few clips, nearly every interval does.",
    "Whether hands are read rightly: the model that judges hands is the one that decides what of them is shown.",
)


def page(said: dict[str, Any], stills: dict[str, bytes]) -> str:
    """The whole page. `said` is privacy.json; `stills`: public clip id -> JPEG of a masked frame."""
    from markupsafe import Markup

    sides, own, channels = [BEFORE, *(s["name"] for s in said["sides"])], said["profile"], said["channels"]
    return render(
        "audit.html",
        said,
        sides=sides, titles=CHANNELS, plain=PLAIN, not_shown=NOT_SHOWN, warnings=warnings(said),
        stills={clip: base64.b64encode(jpeg).decode() for clip, jpeg in stills.items()},
        weights=sorted({(x["attacker"], x["weights"]) for c in channels.values() for x in c["lines"] if x["weights"]}),
        known=has_value, computed=computed, chance=chance, terms=terms, remarks=remarks,
        mark=lambda side: mark(side, sides),
        strongest=lambda name: strongest(channels.get(name, {"lines": []})["lines"], own),
        verdict=lambda line: verdict(line, own),
        plot=lambda title, lines: Markup(plot(title, lines, sides)),
    )  # fmt: skip


def warnings(said: dict[str, Any]) -> list[str]:
    """What to know before reading any figure."""
    clips, found = said["clips"], []
    people = clips["subjects"]
    if people < 2:
        found.append("There is one subject: nobody to be taken for, so attacks that name people cannot be computed.")
    elif people < 10:
        found.append(f"{people} subjects are few. Read the intervals, not the figures: many are too wide to prove anything.")
    if one := clips["subjects_with_one_clip"]:
        found.append(f"{one} of {people} subjects have one clip here: the face attackers know half of the very recording shown.")
    if clips["subjects_assumed"]:
        found.append(f"For {clips['subjects_assumed']} subjects nobody said who is seen; one a source was assumed.")
    for side in said["sides"]:
        if side["changed"]:
            found.append(f"The project's deemo.toml is not that of the profile {side['name']}: its own settings were attacked.")
        if side["refused"]:
            refused = f"The leak check refuses {side['refused']} of {side['clips']} clips of {side['name']}. "
            found.append(refused + "They do not leave, and are attacked here all the same.")
    if clips["not_attacked"]:
        found.append(f"{clips['not_attacked']} clips could not be attacked; the command lists them.")
    return found


def terms(lines: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The words in a table that want explaining."""
    used = dict.fromkeys([*(x["attack"] for x in lines), *(x["measure"] for x in lines)])
    return [(word, TERMS[word]) for word in used if word in TERMS]


def remarks(channel: dict[str, Any]) -> list[str]:
    """Why figures are missing or what to mind about them, each reason once."""
    found: dict[str, list[str]] = {}
    for line in (*channel["lines"], *channel["use"]):
        if line["note"]:
            found.setdefault(line["note"], []).append(f"{line['attack']} by {line['attacker']}")
    return [f"{', '.join(dict.fromkeys(which))}: {note}" for note, which in found.items()]


def mark(side: str, sides: Sequence[str]) -> int:
    return 0 if side == BEFORE else 2 if side == sides[-1] else 1


def plot(title: str, lines: Sequence[dict[str, Any]], sides: Sequence[str]) -> str:
    """SVG: dots with intervals, one row an attack, a mark for each side, a dashed line where guessing is."""
    height = 50 + ROW * len(lines)
    words = f"{title}: each attack's figure for {', '.join(sides)}, with 95 % intervals; the table below has the same numbers."
    parts = [f'<svg viewBox="0 0 900 {height}" role="img" aria-label="{escape(words)}">']
    for tick in range(0, 101, 25):
        x = at(tick / 100)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="30" y2="{height - 10}"/>')
        parts.append(f'<text class="axis" x="{x}" y="20" text-anchor="middle">{tick} %</text>')
    for number, line in enumerate(lines):
        parts += row(line, 40 + ROW * (number + 0.5), sides)
    return "".join([*parts, "</svg>"])


def row(line: dict[str, Any], middle: float, sides: Sequence[str]) -> list[str]:
    safer = "higher is safer" if line["safer"] == "high" else "lower is safer"
    parts = [
        f'<text x="0" y="{middle - 3}">{escape(line["attack"])}: {escape(line["measure"])}</text>',
        f'<text class="axis" x="0" y="{middle + 13}">{escape(line["attacker"])}, {safer}</text>',
    ]
    if (level := chance(line)) is not None:
        parts.append(f'<line class="chance" x1="{at(level)}" x2="{at(level)}" y1="{middle - 19}" y2="{middle + 19}"/>')
    here = [s for s in sides if has_value(line["cells"].get(s))]
    for k, side in enumerate(here):
        cell, y, number = line["cells"][side], middle + (k - (len(here) - 1) / 2) * BETWEEN, mark(side, sides)
        if cell["low"] is not None:
            low, high = at(cell["low"]), at(cell["high"])
            parts.append(f'<line class="bar s{number}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>')
        parts.append(dot(number, at(cell["value"]), y))
    return parts


def at(share: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * min(max(share, 0), 1), 1)


def dot(number: int, x: float, y: float) -> str:
    match number:
        case 0:
            return f'<circle class="s0" cx="{x}" cy="{y}" r="4.2"/>'
        case 1:
            return f'<rect class="s1" x="{x - 3.8:.1f}" y="{y - 3.8:.1f}" width="7.6" height="7.6"/>'
        case _:
            return (
                f'<rect class="s2" x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2" transform="rotate(45 {x} {y})"/>'
            )


def summary(said: dict[str, Any]) -> list[str]:
    """One line a channel for the terminal: the attack that reached most against the project's own profile."""
    own, found = said["profile"], []
    for name, title, _ in CHANNELS:
        line = strongest(said["channels"].get(name, {"lines": []})["lines"], own)
        if line is None:
            found.append(f"{title}: nothing could be computed")
            continue
        cell, level = line["cells"][own], chance(line)
        value, low, high = (f"{v:.0%}" if v is not None else "?" for v in (cell["value"], cell["low"], cell["high"]))
        guess = f", guessing gives {level:.0%}" if level is not None else ""
        which = f"{line['attacker']}, {line['attack']}: {line['measure']}"
        found.append(f"{title}: {which} {value} ({low} to {high}){guess}: {verdict(line, own)}")
    return found
