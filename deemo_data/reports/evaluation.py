"""evaluation.json -> evaluation.html and the lines for the terminal.

The page has no scripts and no links. baseline/evaluation writes the JSON; evaluation_plots.py draws the plots; the text around
them stands in evaluation.html beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deemo_data.reports import evaluation_plots as plots
from deemo_data.reports.html import render_template

FEW_SUBJECTS = 20  # with fewer scored subjects intervals are wide, and depend on who is among them
VERDICTS = {"ok": ("ok", "ok"), "problem": ("problem", "problem"), "inconclusive": ("cannot be said", "unsure")}
FEARED_CHECKS = ("shortcuts", "subject_and_label", "identity", "duplicates")  # checks that hope to find nothing
UNIT_OF_FEATURE = {"clip length": ("s", 1), "file size": ("kB", 1000)}  # feature -> (unit, how many measured ones make it)
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
LIMITATIONS = (
    "How good the best model would be. The probes are plain and the small model is small: what they miss, others may find.",
    "How figures compare with those of other datasets, DEEMO's among them: other people, labels and splits.",
    "Whether labels are right. What annotators agree on wrongly is learned like the rest; see deemo agree.",
    "Short cuts that nobody thought of. Those that were looked for are named; there are others.",
    "That people cannot be recognised. Probes are weak attackers: deemo audit has stronger ones, and even those prove nothing.",
    "What wording gives away: transcripts were not shown to the probes that ask who it is.",
    "Anything about people unlike those in the dataset, and nothing that would justify a decision about a person.",
)


def render_page(report: dict[str, Any]) -> str:
    """The whole page. It can be made of any report: also of one about two clips."""
    from markupsafe import Markup

    lines = report["models"]
    main_lines = select_main_lines(lines)
    sure = [r for r in main_lines if r["recognition"]["calibration"]["bins"]]
    return render_template(
        "evaluation.html",
        report,
        warnings=list_warnings(report),
        not_shown=LIMITATIONS,
        verdicts=VERDICTS,
        feared=FEARED_CHECKS,
        table=Markup(plots.draw_scores(lines, "Accuracy, average recall and macro F1, with 95 % intervals")) if lines else "",
        confusions=[
            (r, Markup(plots.draw_confusion(r["recognition"]["confusion"], f"What {r['name']} answers"))) for r in main_lines
        ],
        calibration=Markup(plots.draw_calibration(sure, "How often answers are right, by how sure they are")) if sure else "",
        reasons=[r for r in lines if r["reasoning"]],
        judged=[r for r in lines if r.get("judged")],
        overlaps=OVERLAPS,
        sections=[(c, VERDICTS[c["verdict"]], [Markup(p) for p in draw_check(c)]) for c in report["checks"]],
        retrained=[r for r in lines if r.get("lost")],
        figure=format_figure, signed=format_difference, number=format_number,
    )  # fmt: skip


def select_main_lines(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines that get plots of their own: models and predictions; if there are none, the plain probe."""
    models = [r for r in lines if r["kind"] in ("model", "predictions")]
    return models or [r for r in lines if r["name"] == "plain probe"]


def draw_check(check: Mapping[str, Any]) -> list[str]:
    """The plots of one check."""
    pictures = []
    if check["findings"]:
        words = f"{check['title']}: figures, and what chance gives"
        pictures.append(plots.draw_findings(check["findings"], check["beside"], words, check["name"] in FEARED_CHECKS))
    if check["more"].get("points"):
        pictures.append(plots.draw_learning_curve(check["more"]["points"], "Average recall by number of people learned from"))
    for kind, by_emotion in check["more"].get("drawn", {}).items():
        unit, size = UNIT_OF_FEATURE[kind]
        scaled = {name: [v / size for v in values] for name, values in by_emotion.items()}
        pictures.append(plots.draw_feature_strips(scaled, unit, f"{kind} of each clip, by emotion"))
    return pictures


def format_figure(figure: Mapping[str, Any] | None) -> str:
    """A figure in words: 0.62 (0.58 to 0.66), or a dash."""
    if not figure or figure["value"] is None:
        return "–"
    words = format_number(figure["value"])
    return words if figure["low"] is None else f"{words} ({format_number(figure['low'])} to {format_number(figure['high'])})"


def format_difference(figure: Mapping[str, Any] | None) -> str:
    """A difference in words, with its sign, or a dash."""
    if not figure or figure["value"] is None:
        return "–"
    words = format_number(figure["value"], "+")
    return (
        words
        if figure["low"] is None
        else f"{words} ({format_number(figure['low'], '+')} to {format_number(figure['high'], '+')})"
    )


def format_number(value: float, sign: str = "") -> str:
    """A number with two decimals; zero never has a minus sign."""
    return f"{round(value, 2) + 0.0:{sign}.2f}"


def list_warnings(report: Mapping[str, Any]) -> list[str]:
    """What readers must know before they read any figure."""
    sentences, scored, people = [], report["scored"], report["dataset"]["subjects"]
    clips = report["dataset"]["clips"]
    statistical = [c for c in report["checks"] if c["name"] != "duplicates"]  # which looks at each pair there is
    unsure = [c for c in statistical if c["verdict"] == "inconclusive"]
    if not scored["clips"]:
        sentences.append(
            "There is no clip with an emotion to score: all are in the train split. Three subjects or more give a test split; "
            "label more, then: deemo export DIR."
        )
    elif scored["subjects"] < FEW_SUBJECTS:
        whom = "1 person was" if scored["subjects"] == 1 else f"{scored['subjects']} people were"
        sentences.append(
            f"{whom} scored, with {scored['clips']} {'clip' if scored['clips'] == 1 else 'clips'}. Figures from so few are about "
            "these people; read the intervals, and where there is none, read nothing."
        )
    if len(unsure) == len(statistical):
        sentences.append(
            f"The dataset is too small: {clips} clips of {people} {'person' if people == 1 else 'people'}. That "
            "nothing was found means nothing. It cannot show that emotions can be learned, that no short cut is there, or that "
            "nobody can be recognised."
        )
    elif unsure:
        sentences.append(f"Too little to say anything of: {', '.join(c['title'] for c in unsure)}. That is no all-clear.")
    return [
        *sentences,
        *(f"{note[0].upper()}{note[1:]}." if not note.endswith((".", "'", "]")) else note for note in report["notes"]),
    ]


def summarise(report: Mapping[str, Any]) -> list[str]:
    """The lines for the terminal: what was scored, then one line per model and per check."""
    scored = report["scored"]
    sentences = [
        f"{report['dataset']['clips']} clips with an emotion, {report['dataset']['subjects']} subjects; "
        + (f"{scored['clips']} of split {scored['split']} scored" if scored["clips"] else "none scored")
    ]
    sentences += [
        f"{r['name']}: accuracy {format_figure(r['recognition']['accuracy'])}, "
        f"average recall {format_figure(r['recognition']['uar'])}"
        for r in report["models"]
        if r["kind"] != "ablation"
    ]
    sentences += [f"{c['title']}: {VERDICTS[c['verdict']][0]}. {c['words'][0]}" for c in report["checks"]]
    return [*sentences, *report["notes"]]
