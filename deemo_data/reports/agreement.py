"""agreement.json -> agreement.html and the lines for the terminal.

The page has no scripts and no links. agreement/measure.py writes the JSON; agreement_plots.py draws the plots; the text around
them stands in agreement.html beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deemo_data.reports import agreement_plots as plots
from deemo_data.reports import svg
from deemo_data.reports.html import render_template

LIMITATIONS = (
    "Whether the labels are right. People may agree on a mistake; only the adjudicated versions, and looking, speak of that.",
    "How other annotators would do. Intervals come from resampling clips or subjects: the people stay the same.",
    "How easy a class is to see. A class that hardly anybody marks has a low alpha even where people miss it together seldom.",
    "What happened in clips, or parts of clips, that one person saw. They are not counted.",
    "That somebody worked badly who agrees less: they may have understood the definition best. Look at the clips.",
    "What adjudicators would say of other clips: they saw those in dispute, so figures against them are low.",
)


def render_page(report: dict[str, Any]) -> str:
    """The whole page. It can be made of any report: also when nobody has labelled, or only one person."""
    from markupsafe import Markup

    groups, people = list(report["group_names"]), [a["name"] for a in report["annotators"]]
    return render_template(
        "agreement.html",
        report,
        not_shown=LIMITATIONS,
        next_steps=suggest_next_steps(report),
        next_step=describe_next_step(report),
        findings=list_findings(report),
        without_figures=[c for c in report["classes"] if not _has_figure(c) and c["events"]],
        never=[c["name"] for c in report["classes"] if not c["events"]],
        scores=Markup(plots.draw_scores(make_score_rows(report), report["same"], "F1 and alpha by class, with 95 % intervals")),
        both=Markup(plots.draw_scores(make_effect_rows(report), report["same"], "F1 and alpha with and without proposals")),
        curves=Markup(plots.draw_edge_curves(report["edges"], "How far apart start and end of matched events are"))
        if report["edges"]["start"]["within"] else "",
        confusion=Markup(plots.draw_confusion(report["confusion"], "What the other one called it, in per cent of each row")),
        matrix=Markup(plots.draw_pair_matrix(people, report["pairs"], "F1 between annotators")),
        bars=Markup(plots.draw_proposal_bars(make_proposal_rows(report), "What became of proposals, class by class")),
        timelines=[(clip, Markup(svg.draw_timeline(clip, groups))) for clip in report["disputed"]],
        colours=[(name, svg.colour_class(key, groups)) for key, name in report["group_names"].items()],
        effect_sentence=describe_effect(report),
        said=svg.describe_figure, band=describe_alpha, percent=format_percent,
    )  # fmt: skip


def _has_figure(row: Mapping[str, Any]) -> bool:
    return row["alpha"]["value"] is not None or _f1_at(row)["value"] is not None


def _f1_at(row: Mapping[str, Any], iou: str = "0.5") -> Mapping[str, Any]:
    figure: Mapping[str, Any] = row["f1"][iou]
    return figure


def make_score_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of the plot of scores: all classes, anything at all, the groups; then the classes of each group, highest F1 first."""
    groups, names = list(report["group_names"]), report["group_names"]

    def row(name: str, figures: Mapping[str, Any], style: str, strong: bool = False) -> dict[str, Any]:
        return {"name": name, "style": style, "strong": strong, "f1": _f1_at(figures), "alpha": figures["alpha"]}

    rows = [row("All classes", report["overall"], "s0", True), row("Anything at all", report["any"], "s0", True)]
    rows += [
        row(g["name"], g, svg.colour_class(key, groups), True)
        for key, g in zip(groups, report["groups"], strict=True)
        if g["events"]
    ]
    for key in groups:
        here = [c for c in report["classes"] if c["group"] == key and _has_figure(c)]
        here.sort(key=lambda c: (-(_f1_at(c)["value"] or 0), c["name"]))
        if here:
            rows.append({"name": names[key], "strong": True})
        rows += [row(c["name"], c, svg.colour_class(key, groups)) for c in here]
    return rows


def make_proposal_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of the plot of proposals: all classes, then the classes that were proposed, most frequent first."""
    proposals = report["proposals"]
    classes = sorted((c for c in proposals["classes"] if c["proposed"]), key=lambda c: (-c["proposed"], c["name"]))
    return [{"name": "All classes", "strong": True} | proposals["overall"], *classes]


def make_effect_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of the plot that compares clips with and without proposals."""
    effect = report["proposals"]["effect"]
    return [{"name": f"{side} proposals", "style": "s0"} | effect[side] for side in ("with", "without")]


def describe_alpha(alpha: Mapping[str, Any]) -> str:
    """An alpha in words, by the marks that Krippendorff recommends."""
    value = alpha["value"]
    if value is None:
        return f"cannot be said ({alpha['why']})"
    if value >= plots.ALPHA_MARKS[1]:
        return "reliable"
    if value >= plots.ALPHA_MARKS[0]:
        return "enough for tentative conclusions"
    return "too low to rest conclusions on" if value > 0 else "no better than chance"


def format_percent(share: float | None) -> str:
    """A share as whole per cent, or a dash."""
    return "–" if share is None else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def suggest_next_steps(report: Mapping[str, Any]) -> list[str]:
    """What users can do to get figures, or better ones."""
    counts = report["counts"]
    if not counts["clips"]:
        return ["There are no clips that may leave. Type: deemo run DIR, then deemo push DIR."]
    if not counts["annotators"]:
        return ["Nobody has labelled yet. Type: deemo push DIR, let two people or more label, then: deemo pull DIR."]
    if counts["annotators"] == 1:
        return [
            f"One person has labelled ({counts['seen_by_one']} clips). Agreement wants two: set overlap = 2 in [labelling] of "
            "deemo.toml, let a second person label the same clips, then: deemo pull DIR."
        ]
    if not counts["seen_by_more"]:
        return [
            f"{counts['annotators']} people have labelled, no clip was seen by two of them. Annotators should open the page that "
            "deemo push names: it gives each clip to as many people as overlap says."
        ]
    sentences = []
    if report["resampled"]["n"] < 20:
        sentences.append(
            f"{report['resampled']['n']} {report['resampled']['by']} were seen by two or more people: that is little. Read "
            "the intervals, not the figures."
        )
    if report["resampled"]["by"] == "clips" and counts["subjects"] < counts["seen_by_more"]:
        sentences.append(
            f"The clips show {counts['subjects']} subjects. Clips of one person are alike, so for other people the intervals are "
            "too narrow."
        )
    return sentences


def describe_next_step(report: Mapping[str, Any], folder: str = "DIR") -> str:
    """What is to be done next, as a sentence with the command. `folder`: of the project."""
    counts, disputes = report["counts"], report["disputes"]
    pull = f"deemo pull {folder}"
    if not counts["clips"]:
        return f"No clip may be shown yet. Next: deemo status {folder}"
    if not counts["annotators"]:
        return f"Nobody has labelled yet. Next: deemo push {folder}, then: {pull}"
    if disputes["open"]:
        return f"{_clips(disputes['open'])} in dispute. Next: deemo push {folder} --adjudicate"
    if disputes["sent"]:
        return f"{_clips(disputes['sent'])} in dispute, which the second group has. When they are handed in: {pull}"
    settled = f", {disputes['settled']} adjudicated" if disputes["settled"] else ""
    if not counts["seen_by_more"] and not disputes["settled"]:
        return f"No clip was seen by two people. When a second person has labelled: {pull}"
    if waiting := counts["unseen"] + counts["seen_by_one"]:
        return (
            f"No clip is in dispute{settled}; {waiting} of {counts['clips']} clips were seen by nobody or by one person. "
            f"Next: {pull}, or deemo export {folder}"
        )
    return f"No clip is in dispute{settled}. Next: deemo export {folder}"


def _clips(count: int) -> str:
    return f"{count} clip is" if count == 1 else f"{count} clips are"


def list_findings(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is good and what is not, as sentences: {"good": [...], "bad": [...]}."""
    good: list[str] = []
    bad: list[str] = []
    if report["overall"]["alpha"]["value"] is None:
        return {"good": good, "bad": bad}
    for sentence, fine in (
        *_find_overall(report),
        *_find_classes(report),
        *_find_edges(report),
        *_find_confusions(report),
        *_find_outliers(report),
        *_find_certainty(report),
        *_find_anchoring(report),
    ):
        (good if fine else bad).append(sentence)
    return {"good": good, "bad": bad}


Findings = list[tuple[str, bool]]  # (sentence, whether it is good)


def _find_overall(report: Mapping[str, Any]) -> Findings:
    alpha, score = report["overall"]["alpha"], _f1_at(report["overall"])
    sentences: Findings = [
        (f"Over all classes alpha is {alpha['value']:.2f}: {describe_alpha(alpha)}.", alpha["value"] >= plots.ALPHA_MARKS[0])
    ]
    if score["value"] is not None and score["chance"] is not None:
        above = score["low"] is not None and score["low"] > score["chance"]
        words = f"Two people find the same event with F1 {score['value']:.2f}; at random times it would be {score['chance']:.2f}"
        sentences.append((words + ("." if above else ", which is not surely less."), above))
    return sentences


def _find_classes(report: Mapping[str, Any]) -> Findings:
    known = [c for c in report["classes"] if c["alpha"]["value"] is not None]
    best = sorted((c for c in known if c["alpha"]["value"] >= plots.ALPHA_MARKS[1]), key=lambda c: -c["alpha"]["value"])
    worst = sorted((c for c in known if c["alpha"]["value"] < plots.ALPHA_MARKS[0]), key=lambda c: c["alpha"]["value"])
    sentences: Findings = []
    if best:
        sentences.append((f"{len(best)} of {len(known)} classes are reliable: {_name_classes(best)}.", True))
    if worst:
        sentences.append(
            (
                f"{len(worst)} of {len(known)} classes are below {plots.ALPHA_MARKS[0]}, worst first: {_name_classes(worst)}.",
                False,
            )
        )
    return sentences


def _name_classes(classes: Sequence[Mapping[str, Any]], max_named: int = 4) -> str:
    names = [f"{c['name']} ({c['alpha']['value']:.2f})" for c in classes[:max_named]]
    return ", ".join(names) + (f" and {len(classes) - max_named} more" if len(classes) > max_named else "")


def _find_edges(report: Mapping[str, Any]) -> Findings:
    start, end = (report["edges"][e]["median_ms"]["value"] for e in ("start", "end"))
    if start is None or end is None:
        return []
    p90 = max(report["edges"][e]["p90_ms"]["value"] for e in ("start", "end"))
    words = f"Where two people mark the same event, its start differs by {start:.0f} ms and its end by {end:.0f} ms (medians)"
    return [(f"{words}; one in ten by more than {p90:.0f} ms.", p90 <= report["tolerance_ms"])]


def _find_confusions(report: Mapping[str, Any]) -> Findings:
    names, counts = report["confusion"]["classes"], report["confusion"]["counts"]
    total = sum(map(sum, counts))
    if not total:
        return []
    nothing = sum(row[-1] for row in counts) / total
    other = 1 - nothing - sum(counts[k][k] for k in range(len(names))) / total
    words = f"Where one marks an event, the other marks nothing in {format_percent(nothing)} of cases, "
    words += f"another class in {format_percent(other)}"
    pairs = [(counts[a][b], names[a], names[b]) for a in range(len(names)) for b in range(len(names)) if a < b]
    most = max(pairs, default=(0, "", ""))
    if most[0] >= 3:
        words += f"; taken for each other most often: {most[1]} and {most[2]} ({most[0]} times)"
    return [(words + ".", nothing + other < 0.3)]


def _find_outliers(report: Mapping[str, Any]) -> Findings:
    people = [a for a in report["annotators"] if a["f1_with_others"] is not None]
    sentences: Findings = []
    if len(people) < 3:
        return sentences
    middle = sorted(a["f1_with_others"] for a in people)[len(people) // 2]
    rate = sorted(a["events_a_minute"] for a in people)[len(people) // 2]
    for a in people:
        if a["f1_with_others"] < middle - 0.1:
            sentences.append(
                (f"{a['name']} agrees less with the others (F1 {a['f1_with_others']:.2f}, in the middle {middle:.2f}).", False)
            )
        if rate and not 0.5 <= a["events_a_minute"] / rate <= 2:
            words = f"{a['name']} marks {a['events_a_minute']:.1f} events a minute, in the middle {rate:.1f}"
            sentences.append((words + ": they may read the definitions otherwise.", False))
    return sentences


def _find_certainty(report: Mapping[str, Any]) -> Findings:
    confirmed = {c["said"]: c["confirmed"] for c in report["certainty"]}
    doubt = [confirmed[s]["value"] for s in ("unsure", "guess") if confirmed[s]["value"] is not None]
    if confirmed["sure"]["low"] is None or not doubt:
        return []
    sure, rest = format_percent(confirmed["sure"]["value"]), format_percent(max(doubt))
    words = f"The other one marks {sure} of the events that one is sure of, {rest} of the rest"
    fine = confirmed["sure"]["low"] > max(doubt)
    return [(words + (": certainty means something." if fine else ": certainty says little here."), fine)]


def _find_anchoring(report: Mapping[str, Any]) -> Findings:
    change = report["proposals"]["effect"]["difference"]["f1"]
    if change["low"] is None or change["low"] <= 0:
        return []
    return [
        ("People agree more where they were shown proposals, so all figures here are higher than without (see Proposals).", False)
    ]


def describe_effect(report: Mapping[str, Any]) -> str:
    """How proposals change the agreement between annotators, in words."""
    effect = report["proposals"]["effect"]
    change = effect["difference"]["f1"]
    if change["value"] is None:
        return f"What proposals do to people cannot be said: {change['why']}."
    words = f"With proposals F1 between people is {abs(change['value']):.2f} {'higher' if change['value'] >= 0 else 'lower'}"
    if change["low"] is None:
        return words + "; there is too little for an interval, so this may be chance."
    words += f" ({change['low']:+.2f} to {change['high']:+.2f}). "
    if change["low"] > 0:
        return words + (
            "People who start from the same draft end nearer to each other. That is anchoring as much as help: it does not say "
            "that they are nearer to what happened. Do not quote agreement on clips with proposals as that of independent people."
        )
    if change["high"] < 0:
        return words + "Proposals lead people apart here: some keep what others correct. Look at the classes below."
    return words + "That may be chance: no anchoring is shown, and none is ruled out."


def summarise(report: dict[str, Any]) -> list[str]:
    """The result in five to eight lines for the terminal."""
    counts = report["counts"]
    sentences = [
        f"{counts['annotators']} people; {counts['seen_by_more']} clips seen by two or more, {counts['seen_by_one']} by one, "
        f"{counts['unseen']} by nobody; {counts['adjudicated']} adjudicated"
    ]
    if not counts["seen_by_more"]:
        return sentences + suggest_next_steps(report)
    overall = report["overall"]
    known = {iou: f["value"] for iou, f in overall["f1"].items() if f["value"] is not None}
    scores = ", ".join(f"{value:.2f} at IoU {iou}" for iou, value in known.items())
    chance = _f1_at(overall)["chance"]
    guess = f"; times shifted at random give {chance:.2f} at {report['same']}" if chance is not None else ""
    sentences.append(f"Events, F1: {scores}{guess}" if scores else f"Events, F1: {_f1_at(overall)['why']}")
    sentences.append(f"Alpha over time, all classes: {svg.describe_figure(overall['alpha'])}: {describe_alpha(overall['alpha'])}")
    start, end = (report["edges"][e]["median_ms"] for e in ("start", "end"))
    if start["value"] is not None:
        sentences.append(f"Edges of the same event: start {start['value']:.0f} ms, end {end['value']:.0f} ms apart (medians)")
    sentences += [text for text, fine in _find_classes(report) if not fine]
    if report["proposals"]["overall"]["proposed"]:
        tally = report["proposals"]["overall"]
        kept, changed, gone = (format_percent(tally[k] / tally["proposed"]) for k in ("accepted", "corrected", "removed"))
        sentences.append(f"Proposals: {kept} accepted, {changed} corrected, {gone} removed; {tally['added']} events added")
        sentences.append(describe_effect(report).split(". ")[0].rstrip(".") + ".")
    return sentences
