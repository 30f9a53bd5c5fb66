"""out/agreement.html: one page without scripts or links, made of what agreement.json says; and its lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deemo_data.reports import agreement_plots as plots
from deemo_data.reports import svg
from deemo_data.reports.html import render

NOT_SHOWN = (
    "Whether the labels are right. People may agree on a mistake; only the adjudicated versions, and looking, speak of that.",
    "How other annotators would do. Intervals come from resampling clips or subjects: the people stay the same.",
    "How easy a class is to see. A class that hardly anybody marks has a low alpha even where people miss it together seldom.",
    "What happened in clips, or parts of clips, that one person saw. They are not counted.",
    "That somebody worked badly who agrees less: they may have understood the definition best. Look at the clips.",
    "What adjudicators would say of other clips: they saw those in dispute, so figures against them are low.",
)


def page(measured: dict[str, Any]) -> str:
    """The whole page, whatever was measured: also when nobody, or one person, has labelled."""
    from markupsafe import Markup

    groups = list(measured["group_names"])
    return render(
        "agreement.html",
        measured,
        not_shown=NOT_SHOWN,
        next_steps=next_steps(measured),
        findings=findings(measured),
        without_figures=[c for c in measured["classes"] if not _known(c) and c["events"]],
        never=[c["name"] for c in measured["classes"] if not c["events"]],
        scores=Markup(plots.scores(score_rows(measured), measured["same"], "F1 and alpha by class, with 95 % intervals")),
        both=Markup(plots.scores(effect_rows(measured), measured["same"], "F1 and alpha with and without proposals")),
        curves=Markup(plots.curves(measured["edges"], "How far apart start and end of matched events are"))
        if measured["edges"]["start"]["within"] else "",
        confusion=Markup(plots.confusion(measured["confusion"], "What the other one called it, in per cent of each row")),
        matrix=Markup(plots.matrix([a["name"] for a in measured["annotators"]], measured["pairs"], "F1 between annotators")),
        bars=Markup(plots.bars(proposal_rows(measured), "What became of proposals, class by class")),
        timelines=[(clip, Markup(svg.timeline(clip, groups))) for clip in measured["disputed"]],
        colours=[(name, svg.colour(key, groups)) for key, name in measured["group_names"].items()],
        effect_sentence=effect_sentence(measured),
        said=svg.said, band=band, percent=percent,
    )  # fmt: skip


def _known(row: Mapping[str, Any]) -> bool:
    return row["alpha"]["value"] is not None or _f1(row)["value"] is not None


def _f1(row: Mapping[str, Any], least: str = "0.5") -> Mapping[str, Any]:
    found: Mapping[str, Any] = row["f1"][least]
    return found


def score_rows(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of the plot: all, anything, the groups; then the classes, group by group, the best first."""
    groups, names = list(measured["group_names"]), measured["group_names"]

    def row(name: str, figures: Mapping[str, Any], style: str, strong: bool = False) -> dict[str, Any]:
        return {"name": name, "style": style, "strong": strong, "f1": _f1(figures), "alpha": figures["alpha"]}

    rows = [row("All classes", measured["overall"], "s0", True), row("Anything at all", measured["any"], "s0", True)]
    rows += [
        row(g["name"], g, svg.colour(key, groups), True) for key, g in zip(groups, measured["groups"], strict=True) if g["events"]
    ]
    for key in groups:
        here = [c for c in measured["classes"] if c["group"] == key and _known(c)]
        here.sort(key=lambda c: (-(_f1(c)["value"] or 0), c["name"]))
        if here:
            rows.append({"name": names[key], "strong": True})
        rows += [row(c["name"], c, svg.colour(key, groups)) for c in here]
    return rows


def proposal_rows(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    told = measured["proposals"]
    classes = sorted((c for c in told["classes"] if c["proposed"]), key=lambda c: (-c["proposed"], c["name"]))
    return [{"name": "All classes", "strong": True} | told["overall"], *classes]


def effect_rows(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    effect = measured["proposals"]["effect"]
    return [{"name": f"{side} proposals", "style": "s0"} | effect[side] for side in ("with", "without")]


def band(alpha: Mapping[str, Any]) -> str:
    """An alpha in words, by Krippendorff's marks."""
    value = alpha["value"]
    if value is None:
        return f"cannot be said ({alpha['why']})"
    if value >= plots.MARKS[1]:
        return "reliable"
    if value >= plots.MARKS[0]:
        return "enough for tentative conclusions"
    return "too low to rest conclusions on" if value > 0 else "no better than chance"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def next_steps(measured: Mapping[str, Any]) -> list[str]:
    """What to do before anything can be said, or to say it better."""
    counts = measured["counts"]
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
    told = []
    if measured["resampled"]["n"] < 20:
        told.append(
            f"{measured['resampled']['n']} {measured['resampled']['by']} were seen by two or more people: that is little. Read "
            "the intervals, not the figures."
        )
    if measured["resampled"]["by"] == "clips" and counts["subjects"] < counts["seen_by_more"]:
        told.append(
            f"The clips show {counts['subjects']} subjects. Clips of one person are alike, so for other people the intervals are "
            "too narrow."
        )
    return told


def findings(measured: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is good and what is not, in plain words."""
    good: list[str] = []
    bad: list[str] = []
    if measured["overall"]["alpha"]["value"] is None:
        return {"good": good, "bad": bad}
    for sentence, fine in (
        *_overall(measured),
        *_classes(measured),
        *_edges(measured),
        *_confused(measured),
        *_people(measured),
        *_certain(measured),
        *_anchored(measured),
    ):
        (good if fine else bad).append(sentence)
    return {"good": good, "bad": bad}


Told = list[tuple[str, bool]]


def _overall(measured: Mapping[str, Any]) -> Told:
    alpha, score = measured["overall"]["alpha"], _f1(measured["overall"])
    told: Told = [(f"Over all classes alpha is {alpha['value']:.2f}: {band(alpha)}.", alpha["value"] >= plots.MARKS[0])]
    if score["value"] is not None and score["chance"] is not None:
        above = score["low"] is not None and score["low"] > score["chance"]
        words = f"Two people find the same event with F1 {score['value']:.2f}; at random times it would be {score['chance']:.2f}"
        told.append((words + ("." if above else ", which is not surely less."), above))
    return told


def _classes(measured: Mapping[str, Any]) -> Told:
    known = [c for c in measured["classes"] if c["alpha"]["value"] is not None]
    best = sorted((c for c in known if c["alpha"]["value"] >= plots.MARKS[1]), key=lambda c: -c["alpha"]["value"])
    worst = sorted((c for c in known if c["alpha"]["value"] < plots.MARKS[0]), key=lambda c: c["alpha"]["value"])
    told: Told = []
    if best:
        told.append((f"{len(best)} of {len(known)} classes are reliable: {_list(best)}.", True))
    if worst:
        told.append((f"{len(worst)} of {len(known)} classes are below {plots.MARKS[0]}, worst first: {_list(worst)}.", False))
    return told


def _list(classes: Sequence[Mapping[str, Any]], most: int = 4) -> str:
    names = [f"{c['name']} ({c['alpha']['value']:.2f})" for c in classes[:most]]
    return ", ".join(names) + (f" and {len(classes) - most} more" if len(classes) > most else "")


def _edges(measured: Mapping[str, Any]) -> Told:
    start, end = (measured["edges"][e]["median_ms"]["value"] for e in ("start", "end"))
    if start is None or end is None:
        return []
    p90 = max(measured["edges"][e]["p90_ms"]["value"] for e in ("start", "end"))
    words = f"Where two people mark the same event, its start differs by {start:.0f} ms and its end by {end:.0f} ms (medians)"
    return [(f"{words}; one in ten by more than {p90:.0f} ms.", p90 <= measured["tolerance_ms"])]


def _confused(measured: Mapping[str, Any]) -> Told:
    names, counts = measured["confusion"]["classes"], measured["confusion"]["counts"]
    total = sum(map(sum, counts))
    if not total:
        return []
    nothing = sum(row[-1] for row in counts) / total
    other = 1 - nothing - sum(counts[k][k] for k in range(len(names))) / total
    words = f"Where one marks an event, the other marks nothing in {percent(nothing)} of cases, another class in {percent(other)}"
    pairs = [(counts[a][b], names[a], names[b]) for a in range(len(names)) for b in range(len(names)) if a < b]
    most = max(pairs, default=(0, "", ""))
    if most[0] >= 3:
        words += f"; taken for each other most often: {most[1]} and {most[2]} ({most[0]} times)"
    return [(words + ".", nothing + other < 0.3)]


def _people(measured: Mapping[str, Any]) -> Told:
    people = [a for a in measured["annotators"] if a["f1_with_others"] is not None]
    told: Told = []
    if len(people) < 3:
        return told
    middle = sorted(a["f1_with_others"] for a in people)[len(people) // 2]
    rate = sorted(a["events_a_minute"] for a in people)[len(people) // 2]
    for a in people:
        if a["f1_with_others"] < middle - 0.1:
            told.append(
                (f"{a['name']} agrees less with the others (F1 {a['f1_with_others']:.2f}, in the middle {middle:.2f}).", False)
            )
        if rate and not 0.5 <= a["events_a_minute"] / rate <= 2:
            words = f"{a['name']} marks {a['events_a_minute']:.1f} events a minute, in the middle {rate:.1f}"
            told.append((words + ": they may read the definitions otherwise.", False))
    return told


def _certain(measured: Mapping[str, Any]) -> Told:
    said = {c["said"]: c["confirmed"] for c in measured["certainty"]}
    doubt = [said[s]["value"] for s in ("unsure", "guess") if said[s]["value"] is not None]
    if said["sure"]["low"] is None or not doubt:
        return []
    sure, rest = percent(said["sure"]["value"]), percent(max(doubt))
    words = f"The other one marks {sure} of the events that one is sure of, {rest} of the rest"
    fine = said["sure"]["low"] > max(doubt)
    return [(words + (": certainty means something." if fine else ": certainty says little here."), fine)]


def _anchored(measured: Mapping[str, Any]) -> Told:
    change = measured["proposals"]["effect"]["difference"]["f1"]
    if change["low"] is None or change["low"] <= 0:
        return []
    return [
        ("People agree more where they were shown proposals, so all figures here are higher than without (see Proposals).", False)
    ]


def effect_sentence(measured: Mapping[str, Any]) -> str:
    """What proposals do to people's work, in words."""
    effect = measured["proposals"]["effect"]
    change = effect["difference"]["f1"]
    if change["value"] is None:
        return f"What proposals do to people cannot be said: {change['why']}."
    told = f"With proposals F1 between people is {abs(change['value']):.2f} {'higher' if change['value'] >= 0 else 'lower'}"
    if change["low"] is None:
        return told + "; there is too little for an interval, so this may be chance."
    told += f" ({change['low']:+.2f} to {change['high']:+.2f}). "
    if change["low"] > 0:
        return told + (
            "People who start from the same draft end nearer to each other. That is anchoring as much as help: it does not say "
            "that they are nearer to what happened. Do not quote agreement on clips with proposals as that of independent people."
        )
    if change["high"] < 0:
        return told + "Proposals lead people apart here: some keep what others correct. Look at the classes below."
    return told + "That may be chance: no anchoring is shown, and none is ruled out."


def summary(measured: dict[str, Any]) -> list[str]:
    """Five to eight lines for the terminal."""
    counts = measured["counts"]
    told = [
        f"{counts['annotators']} people; {counts['seen_by_more']} clips seen by two or more, {counts['seen_by_one']} by one, "
        f"{counts['unseen']} by nobody; {counts['adjudicated']} adjudicated"
    ]
    if not counts["seen_by_more"]:
        return told + next_steps(measured)
    overall = measured["overall"]
    known = {least: f["value"] for least, f in overall["f1"].items() if f["value"] is not None}
    scores = ", ".join(f"{value:.2f} at IoU {least}" for least, value in known.items())
    chance = _f1(overall)["chance"]
    guess = f"; times shifted at random give {chance:.2f} at {measured['same']}" if chance is not None else ""
    told.append(f"Events, F1: {scores}{guess}" if scores else f"Events, F1: {_f1(overall)['why']}")
    told.append(f"Alpha over time, all classes: {svg.said(overall['alpha'])}: {band(overall['alpha'])}")
    start, end = (measured["edges"][e]["median_ms"] for e in ("start", "end"))
    if start["value"] is not None:
        told.append(f"Edges of the same event: start {start['value']:.0f} ms, end {end['value']:.0f} ms apart (medians)")
    told += [text for text, fine in _classes(measured) if not fine]
    if measured["proposals"]["overall"]["proposed"]:
        tally = measured["proposals"]["overall"]
        kept, changed, gone = (percent(tally[k] / tally["proposed"]) for k in ("accepted", "corrected", "removed"))
        told.append(f"Proposals: {kept} accepted, {changed} corrected, {gone} removed; {tally['added']} events added")
        told.append(effect_sentence(measured).split(". ")[0].rstrip(".") + ".")
    return told
