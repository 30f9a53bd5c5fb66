"""evaluation.html: one page without scripts or links, made of what evaluation.json says; and its lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deemo_data.reports import evaluation_plots as plots
from deemo_data.reports.html import render

LITTLE = 20  # subjects that are scored; with fewer, intervals are wide and change with who is in
VERDICTS = {"ok": ("ok", "ok"), "problem": ("problem", "problem"), "inconclusive": ("cannot be said", "unsure")}
FEARED = ("shortcuts", "subject_and_label", "identity", "duplicates")  # checks that hope to see nothing
UNITS = {"clip length": ("s", 1), "file size": ("kB", 1000)}  # and how many of what was measured make one
OVERLAPS = (
    ("emotion_words", "groups", "Emotions named, by group"),
    ("emotion_words", "sentiments", "Emotions named, by sentiment"),
    ("clue_words", "all", "Words of the clues"),
    ("clue_words", "video", "… about the video"),
    ("clue_words", "audio", "… about the voice"),
    ("clue_words", "text", "… about the words"),
    ("events", "named", "Body language named"),
    ("events", "placed", "Body language named at its time"),
)
NOT_SHOWN = (
    "How good the best model would be. The probes are plain and the small model is small: what they miss, others may find.",
    "How figures compare with those of other datasets, DEEMO's among them: other people, labels and splits.",
    "Whether labels are right. What annotators agree on wrongly is learned like the rest; see deemo agree.",
    "Short cuts that nobody thought of. Those that were looked for are named; there are others.",
    "That people cannot be recognised. Probes are weak attackers: deemo audit has stronger ones, and even those prove nothing.",
    "What wording gives away: transcripts were not shown to the probes that ask who it is.",
    "Anything about people unlike those in the dataset, and nothing that would justify a decision about a person.",
)


def page(measured: dict[str, Any]) -> str:
    """The whole page, whatever was measured: also of two clips."""
    from markupsafe import Markup

    lines = measured["models"]
    shown = best(lines)
    sure = [r for r in shown if r["recognition"]["calibration"]["bins"]]
    return render(
        "evaluation.html",
        measured,
        warnings=warnings(measured),
        not_shown=NOT_SHOWN,
        verdicts=VERDICTS,
        feared=FEARED,
        table=Markup(plots.table(lines, "Accuracy, average recall and macro F1, with 95 % intervals")) if lines else "",
        confusions=[(r, Markup(plots.confusion(r["recognition"]["confusion"], f"What {r['name']} answers"))) for r in shown],
        calibration=Markup(plots.calibration(sure, "How often answers are right, by how sure they are")) if sure else "",
        reasons=[r for r in lines if r["reasoning"]],
        judged=[r for r in lines if r.get("judged")],
        overlaps=OVERLAPS,
        sections=[(c, VERDICTS[c["verdict"]], [Markup(p) for p in pictures(c)]) for c in measured["checks"]],
        retrained=[r for r in lines if r.get("lost")],
        figure=figure, signed=signed, number=number,
    )  # fmt: skip


def best(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What is looked at closely: models and predictions, else the plain probe."""
    own = [r for r in lines if r["kind"] in ("model", "predictions")]
    return own or [r for r in lines if r["name"] == "plain probe"]


def pictures(check: Mapping[str, Any]) -> list[str]:
    made = []
    if check["findings"]:
        words = f"{check['title']}: figures, and what chance gives"
        made.append(plots.findings(check["findings"], check["beside"], words, check["name"] in FEARED))
    if check["more"].get("points"):
        made.append(plots.curve(check["more"]["points"], "Average recall by number of people learned from"))
    for kind, drawn in check["more"].get("drawn", {}).items():
        unit, size = UNITS[kind]
        scaled = {name: [v / size for v in values] for name, values in drawn.items()}
        made.append(plots.strips(scaled, unit, f"{kind} of each clip, by emotion"))
    return made


def figure(found: Mapping[str, Any] | None) -> str:
    """A figure in words: 0.62 (0.58 to 0.66), or a dash."""
    if not found or found["value"] is None:
        return "–"
    told = number(found["value"])
    return told if found["low"] is None else f"{told} ({number(found['low'])} to {number(found['high'])})"


def signed(found: Mapping[str, Any] | None) -> str:
    """A difference in words, with its sign."""
    if not found or found["value"] is None:
        return "–"
    told = number(found["value"], "+")
    return told if found["low"] is None else f"{told} ({number(found['low'], '+')} to {number(found['high'], '+')})"


def number(value: float, sign: str = "") -> str:
    """Two digits, and never a minus before nothing."""
    return f"{round(value, 2) + 0.0:{sign}.2f}"


def warnings(measured: Mapping[str, Any]) -> list[str]:
    """What must be known before any figure is read."""
    told, scored, people = [], measured["scored"], measured["dataset"]["subjects"]
    clips = measured["dataset"]["clips"]
    statistical = [c for c in measured["checks"] if c["name"] != "duplicates"]  # which looks at each pair there is
    unsure = [c for c in statistical if c["verdict"] == "inconclusive"]
    if not scored["clips"]:
        told.append(
            "There is no clip with an emotion to score: all are in the train split. Three subjects or more give a test split; "
            "label more, then: deemo export DIR."
        )
    elif scored["subjects"] < LITTLE:
        whom = "1 person was" if scored["subjects"] == 1 else f"{scored['subjects']} people were"
        told.append(
            f"{whom} scored, with {scored['clips']} {'clip' if scored['clips'] == 1 else 'clips'}. Figures from so few are about "
            "these people; read the intervals, and where there is none, read nothing."
        )
    if len(unsure) == len(statistical):
        told.append(
            f"The dataset is too small: {clips} clips of {people} {'person' if people == 1 else 'people'}. That "
            "nothing was found means nothing. It cannot show that emotions can be learned, that no short cut is there, or that "
            "nobody can be recognised."
        )
    elif unsure:
        told.append(f"Too little to say anything of: {', '.join(c['title'] for c in unsure)}. That is no all-clear.")
    return [
        *told,
        *(f"{note[0].upper()}{note[1:]}." if not note.endswith((".", "'", "]")) else note for note in measured["notes"]),
    ]


def summary(measured: Mapping[str, Any]) -> list[str]:
    """For the terminal: what was scored, and one line a check."""
    scored = measured["scored"]
    told = [
        f"{measured['dataset']['clips']} clips with an emotion, {measured['dataset']['subjects']} subjects; "
        + (f"{scored['clips']} of split {scored['split']} scored" if scored["clips"] else "none scored")
    ]
    told += [
        f"{r['name']}: accuracy {figure(r['recognition']['accuracy'])}, average recall {figure(r['recognition']['uar'])}"
        for r in measured["models"]
        if r["kind"] != "ablation"
    ]
    told += [f"{c['title']}: {VERDICTS[c['verdict']][0]}. {c['words'][0]}" for c in measured["checks"]]
    return [*told, *measured["notes"]]
