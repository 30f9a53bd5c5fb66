"""privacy.json -> privacy.html and the lines for the terminal.

The page has no scripts and no links. audit/run.py writes the JSON; privacy_verdict.py says what a figure means; the text around
the plots stands in audit.html beside this file. A side is what is attacked: the originals, then each profile.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from deemo_data.reports.html import render_template
from deemo_data.reports.privacy_verdict import (
    CHANNELS,
    PLAIN_MEASURES,
    UNPROTECTED,
    chance_level,
    find_strongest,
    give_verdict,
    has_value,
    lines_with_figures,
)

ROW_HEIGHT_PX = 44
LEFT_PX, RIGHT_PX = 330, 880  # ends of the axis
SIDE_GAP_PX = 11  # between two sides in one row
EXPLANATIONS = {
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
LIMITATIONS = (
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


def render_page(report: dict[str, Any], stills: dict[str, bytes]) -> str:
    """The whole page. `report` is privacy.json; `stills` maps a public clip id to the JPEG of a masked frame."""
    from markupsafe import Markup

    sides, profile, channels = [UNPROTECTED, *(s["name"] for s in report["sides"])], report["profile"], report["channels"]
    return render_template(
        "audit.html",
        report,
        sides=sides, titles=CHANNELS, plain=PLAIN_MEASURES, not_shown=LIMITATIONS, warnings=list_warnings(report),
        stills={clip: base64.b64encode(jpeg).decode() for clip, jpeg in stills.items()},
        weights=sorted({(x["attacker"], x["weights"]) for c in channels.values() for x in c["lines"] if x["weights"]}),
        known=has_value, computed=lines_with_figures, chance=chance_level, terms=explain_terms, remarks=list_remarks,
        mark=lambda side: side_number(side, sides),
        strongest=lambda name: find_strongest(channels.get(name, {"lines": []})["lines"], profile),
        verdict=lambda line: give_verdict(line, profile),
        plot=lambda title, lines: Markup(draw_attacks(title, lines, sides)),
    )  # fmt: skip


def list_warnings(report: dict[str, Any]) -> list[str]:
    """What readers must know before they read any figure."""
    clips, sentences = report["clips"], []
    people = clips["subjects"]
    if people < 2:
        sentences.append("There is one subject: nobody to be taken for, so attacks that name people cannot be computed.")
    elif people < 10:
        sentences.append(f"{people} subjects are few. Read the intervals, not the figures: many are too wide to prove anything.")
    if one := clips["subjects_with_one_clip"]:
        sentences.append(
            f"{one} of {people} subjects have one clip here: the face attackers know half of the very recording shown."
        )
    if clips["subjects_assumed"]:
        sentences.append(f"For {clips['subjects_assumed']} subjects nobody said who is seen; one a source was assumed.")
    for side in report["sides"]:
        if side["changed"]:
            sentences.append(
                f"The project's deemo.toml is not that of the profile {side['name']}: its own settings were attacked."
            )
        if side["refused"]:
            refused = f"The leak check refuses {side['refused']} of {side['clips']} clips of {side['name']}. "
            sentences.append(refused + "They do not leave, and are attacked here all the same.")
    if clips["not_attacked"]:
        sentences.append(f"{clips['not_attacked']} clips could not be attacked; the command lists them.")
    return sentences


def explain_terms(lines: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """(word, explanation) of the terms that a table uses."""
    used = dict.fromkeys([*(x["attack"] for x in lines), *(x["measure"] for x in lines)])
    return [(word, EXPLANATIONS[word]) for word in used if word in EXPLANATIONS]


def list_remarks(channel: dict[str, Any]) -> list[str]:
    """Why figures are missing and what to mind about them, each reason once, with the attacks that it is about."""
    attacks_by_note: dict[str, list[str]] = {}
    for line in (*channel["lines"], *channel["use"]):
        if line["note"]:
            attacks_by_note.setdefault(line["note"], []).append(f"{line['attack']} by {line['attacker']}")
    return [f"{', '.join(dict.fromkeys(which))}: {note}" for note, which in attacks_by_note.items()]


def side_number(side: str, sides: Sequence[str]) -> int:
    """The number of a side's mark and colour: 0 the originals, 2 the last profile, 1 any other."""
    return 0 if side == UNPROTECTED else 2 if side == sides[-1] else 1


def draw_attacks(title: str, lines: Sequence[dict[str, Any]], sides: Sequence[str]) -> str:
    """A plot as SVG: one row per attack, a mark with interval for each side, a dashed line at the chance level."""
    height = 50 + ROW_HEIGHT_PX * len(lines)
    words = f"{title}: each attack's figure for {', '.join(sides)}, with 95 % intervals; the table below has the same numbers."
    parts = [f'<svg viewBox="0 0 900 {height}" role="img" aria-label="{escape(words)}">']
    for tick in range(0, 101, 25):
        x = scale_share(tick / 100)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="30" y2="{height - 10}"/>')
        parts.append(f'<text class="axis" x="{x}" y="20" text-anchor="middle">{tick} %</text>')
    for number, line in enumerate(lines):
        parts += draw_attack(line, 40 + ROW_HEIGHT_PX * (number + 0.5), sides)
    return "".join([*parts, "</svg>"])


def draw_attack(line: dict[str, Any], middle: float, sides: Sequence[str]) -> list[str]:
    """The row of one attack, around y = `middle`."""
    safer = "higher is safer" if line["safer"] == "high" else "lower is safer"
    parts = [
        f'<text x="0" y="{middle - 3}">{escape(line["attack"])}: {escape(line["measure"])}</text>',
        f'<text class="axis" x="0" y="{middle + 13}">{escape(line["attacker"])}, {safer}</text>',
    ]
    if (level := chance_level(line)) is not None:
        parts.append(
            f'<line class="chance" x1="{scale_share(level)}" x2="{scale_share(level)}" y1="{middle - 19}" y2="{middle + 19}"/>'
        )
    here = [s for s in sides if has_value(line["cells"].get(s))]
    for k, side in enumerate(here):
        cell, y, number = line["cells"][side], middle + (k - (len(here) - 1) / 2) * SIDE_GAP_PX, side_number(side, sides)
        if cell["low"] is not None:
            low, high = scale_share(cell["low"]), scale_share(cell["high"])
            parts.append(f'<line class="bar s{number}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>')
        parts.append(draw_mark(number, scale_share(cell["value"]), y))
    return parts


def scale_share(share: float) -> float:
    """The x of a share on the axis."""
    return round(LEFT_PX + (RIGHT_PX - LEFT_PX) * min(max(share, 0), 1), 1)


def draw_mark(number: int, x: float, y: float) -> str:
    """The mark of a side: a dot, a square or a diamond."""
    match number:
        case 0:
            return f'<circle class="s0" cx="{x}" cy="{y}" r="4.2"/>'
        case 1:
            return f'<rect class="s1" x="{x - 3.8:.1f}" y="{y - 3.8:.1f}" width="7.6" height="7.6"/>'
        case _:
            return (
                f'<rect class="s2" x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2" transform="rotate(45 {x} {y})"/>'
            )


def summarise(report: dict[str, Any]) -> list[str]:
    """The lines for the terminal: for each channel the strongest attack on the project's own profile."""
    profile, sentences = report["profile"], []
    for name, title, _ in CHANNELS:
        line = find_strongest(report["channels"].get(name, {"lines": []})["lines"], profile)
        if line is None:
            sentences.append(f"{title}: nothing could be computed")
            continue
        cell, level = line["cells"][profile], chance_level(line)
        value, low, high = (f"{v:.0%}" if v is not None else "?" for v in (cell["value"], cell["low"], cell["high"]))
        guess = f", guessing gives {level:.0%}" if level is not None else ""
        which = f"{line['attacker']}, {line['attack']}: {line['measure']}"
        sentences.append(f"{title}: {which} {value} ({low} to {high}){guess}: {give_verdict(line, profile)}")
    return sentences
