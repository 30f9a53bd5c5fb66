"""out/dataset.html: one page without scripts or links, made of what the tables of a dataset hold and of masked stills."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deemo_data.dataset.counts import rows_of
from deemo_data.dataset.documents import statements
from deemo_data.dataset.layout import MANIFEST, SPLITS, TABLES
from deemo_data.errors import DatasetError
from deemo_data.files import write_if_changed
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.media.limits import ONLY_ITSELF
from deemo_data.reports import svg
from deemo_data.reports.html import render

STILLS = 6  # clips that are shown
WIDE = 400  # px of a still
LEFT = 300.0  # px for names, left of bars
LEAST = 5  # clips with both, from which on a cell of that map has a number


def write(folder: Path, path: Path, nfbl: Nfbl, agreement: Mapping[str, Any] | None = None) -> bool:
    """Make the page of the dataset in `folder`; whether it is another one than before.

    agreement  out/agreement.json, where somebody measured it
    Raises DatasetError when there is no dataset of ours.
    """
    return write_if_changed(path, page(folder, nfbl, agreement))


def page(folder: Path, nfbl: Nfbl, agreement: Mapping[str, Any] | None = None) -> str:
    from markupsafe import Markup

    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        counts = manifest["counts"]
    except (OSError, ValueError, KeyError) as e:
        raise DatasetError(f"{folder} holds no dataset that can be shown", "Type: deemo export DIR") from e
    groups = list(nfbl.groups)
    shown = list(chosen(folder))
    return render(
        "dataset.html",
        counts=counts,
        splits=statements.splits_of(counts),
        version=manifest["version"],
        title=statements.TITLE,
        headline=statements.headline(counts),
        minutes=f"{counts['seconds'] / 60:.1f}",
        colours=[(name, svg.colour(key, groups)) for key, name in nfbl.groups.items()],
        classes=Markup(class_bars(counts, groups)),
        never=[c.name for c in nfbl.classes if c.name not in counts["classes"]],
        lengths=Markup(length_bars(counts["lengths"])),
        emotions=Markup(emotion_bars(counts)) if counts["emotions"] else "",
        together=Markup(together(counts)) if any(counts["together"].get(e) for e in counts["emotions"]) else "",
        least=LEAST,
        levels=statements.LEVELS,
        agreement=statements.agreement(_said(agreement, nfbl)),
        stills=[(row, base64.b64encode(jpeg).decode(), Markup(timeline(row, groups))) for row, jpeg in shown],
        percent=lambda share: f"{share:.0%}".replace("%", " %"),
    )  # fmt: skip


def _said(agreement: Mapping[str, Any] | None, nfbl: Nfbl) -> statements.DatasetFacts:
    from deemo_data.labels.vocabulary import Emotions

    return statements.DatasetFacts({}, nfbl, Emotions("", "", "", ()), agreement)


def chosen(folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The clips with most events, at most one a subject before any has a second: (row of nfbl, still as JPEG)."""
    best: list[tuple[int, int, str, dict[str, Any], Path]] = []
    nth: dict[str, int] = {}
    found = [(row, folder / split) for split in SPLITS for row in rows_of(folder / split / TABLES["nfbl"])]
    for row, base in sorted(found, key=lambda f: (-len({e["label"] for e in f[0]["events"]}), f[0]["clip_id"])):
        nth[row["subject_id"]] = nth.get(row["subject_id"], -1) + 1
        best.append((nth[row["subject_id"]], len(best), row["clip_id"], row, base / row["file_name"]))
        if nth[row["subject_id"]] == 0 and len(nth) == STILLS:
            break
    for *_, row, path in sorted(best, key=lambda b: b[:3])[:STILLS]:
        longest = max(row["events"], key=lambda e: (e["end_frame"] - e["start_frame"], -e["start_frame"]), default=None)
        frame = (longest["start_frame"] + longest["end_frame"]) // 2 if longest else row["num_frames"] // 2
        yield row, still(path, frame)


def still(video: Path, frame: int) -> bytes:
    """One frame of a released video as a small JPEG."""
    import av
    import cv2

    with av.open(str(video), options=ONLY_ITSELF, metadata_errors="replace") as container:
        for number, picture in enumerate(container.decode(video=0)):
            if number == frame:
                high = round(picture.height * WIDE / picture.width)
                small = cv2.resize(picture.to_ndarray(format="bgr24"), (WIDE, high), interpolation=cv2.INTER_AREA)
                return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 72])[1])
    raise DatasetError(f"{video.name} has no frame {frame}", "Type: deemo validate DATASET")


def class_bars(counts: Mapping[str, Any], groups: Sequence[str]) -> str:
    """How often each class occurs, the most frequent first, in the colour of its group."""
    rows = sorted(counts["classes"].items(), key=lambda kv: (-kv[1]["events"], kv[0]))
    most = max((c["events"] for _, c in rows), default=1)
    right, parts = svg.WIDTH - 250, [svg.text(svg.WIDTH - 170, 13, "clips", "axis", "end"),
                                       svg.text(svg.WIDTH - 90, 13, "subjects", "axis", "end"),
                                       svg.text(svg.WIDTH - 2, 13, "median, s", "axis", "end")]  # fmt: skip
    for number, (name, c) in enumerate(rows):
        y = 22 + 21 * number
        wide = max((right - LEFT) * c["events"] / most, 1)
        title = f"{name}: {c['events']} events"
        parts += [
            svg.text(LEFT - 8, y + 13, svg.ellipsis(name, 44), "", "end"),
            svg.box(svg.colour(c["group"], groups), LEFT, y, wide, 16, title, ' rx="2"'),
            svg.text(LEFT + wide + 6, y + 13, str(c["events"]), "axis"),
            svg.text(svg.WIDTH - 170, y + 13, str(c["clips"]), "axis", "end"),
            svg.text(svg.WIDTH - 90, y + 13, str(c["subjects"]), "axis", "end"),
            svg.text(svg.WIDTH - 2, y + 13, f"{c['median_ms'] / 1000:.1f}", "axis", "end"),
        ]
    return svg.svg(26 + 21 * len(rows), "Events of each class; a number beside each bar says how many", parts)


def length_bars(lengths: Mapping[str, int]) -> str:
    """How long clips are: a bar a second, or a few seconds where clips are long."""
    seconds = {int(k): n for k, n in lengths.items()}
    top, step = max(seconds) + 1, 1
    while top / step > 40:
        step = {1: 2, 2: 5}.get(step, step * 2)
    bins = [sum(n for s, n in seconds.items() if s // step == k) for k in range(-(-top // step))]
    most, high, base = max(bins), 120.0, 140.0
    wide = min(60.0, (svg.WIDTH - 60) / len(bins))
    parts = [svg.line("grid", 40, base, 40 + wide * len(bins), base)]
    for k, n in enumerate(bins):
        x, tall = 40 + wide * k, high * n / most
        if n:
            title = f"{n} clips of {k * step} to {(k + 1) * step} s"
            parts.append(svg.box("h0", x + 1, base - tall, wide - 2, tall, title))
            if wide > 22:
                parts.append(svg.text(x + wide / 2, base - tall - 4, str(n), "axis", "middle"))
        if wide > 26 or k % 5 == 0:
            parts.append(svg.text(x, base + 16, str(k * step), "axis", "middle"))
    parts.append(svg.text(40 + wide * len(bins) / 2, base + 36, "seconds", "axis", "middle"))
    return svg.svg(base + 42, "How many clips are how long", parts)


def emotion_bars(counts: Mapping[str, Any]) -> str:
    """Of each split, and of all, the shares of the emotions: what stratified splits have alike."""
    names = [name for name, _ in statements.most(counts["emotions"])]
    rows = [("all", counts["emotions"]), *((s, row["emotions"]) for s, row in statements.splits_of(counts))]
    parts: list[str] = []
    cell = min(90.0, (svg.WIDTH - 170) / len(names))
    leans = cell < 6.5 * max(map(len, names))
    top = 74 if leans else 20
    for number, name in enumerate(names):
        x = 110 + cell * (number + 0.5)
        turned = f' transform="rotate(-50 {x:.1f} {top - 6})"' if leans else ""
        parts.append(svg.text(x, top - 6, name, "axis", "start" if leans else "middle", turned))
    for number, (split, emotions) in enumerate(rows):
        y, total = top + 34 * number, sum(emotions.values())
        parts.append(svg.text(100, y + 19, split, "strong" if split == "all" else "", "end"))
        for place, name in enumerate(names):
            n, x = emotions.get(name, 0), 110 + cell * place
            share = n / total if total else 0
            title = f"{split}, {name}: {n} of {total}"
            parts += [
                svg.box("cell", x, y, cell - 2, 30),
                svg.box("h0", x, y, cell - 2, 30, title, f' fill-opacity="{svg.shade(share) if n else 0}"'),
                svg.text(x + cell / 2 - 1, y + 19, f"{100 * share:.0f} %" if n else "–", "ink" if n else "axis", "middle"),
            ]
    return svg.svg(
        top + 4 + 34 * len(rows), "Emotions: of all clips that have one, and of those of each split, in per cent", parts
    )


def together(counts: Mapping[str, Any]) -> str:
    """Rows: classes. Columns: emotions. In how many clips of an emotion a class occurs, against all that have an emotion."""
    emotions = [name for name, _ in statements.most(counts["emotions"])]
    clips, with_one = counts["emotions"], sum(counts["emotions"].values())
    here = {e: counts["together"].get(e, {}) for e in emotions}
    classes = {name: sum(here[e].get(name, 0) for e in emotions) for name in counts["classes"]}
    rows = [name for name, n in statements.most(classes) if n][:20]
    cell, top = min(60.0, (svg.WIDTH - LEFT - 80) / len(emotions)), 96.0
    parts: list[str] = []
    for number, emotion in enumerate(emotions):
        x = LEFT + cell * (number + 0.5)
        turned = f' transform="rotate(-50 {x:.1f} {top - 8:.1f})"'
        parts.append(svg.text(x, top - 8, f"{emotion} ({clips[emotion]})", "axis", "start", turned))
    for r, name in enumerate(rows):
        y = top + 24 * r
        parts.append(svg.text(LEFT - 8, y + 16, svg.ellipsis(name, 44), "axis", "end"))
        for c, emotion in enumerate(emotions):
            n, x = here[emotion].get(name, 0), LEFT + cell * c
            share, usual = n / clips[emotion], classes[name] / with_one
            more = share >= usual
            title = f"{name}: in {n} of {clips[emotion]} clips with {emotion}, in {classes[name]} of {with_one} of all"
            parts += [
                svg.box("cell", x, y, cell - 2, 22),
                svg.box("h0" if more else "h1", x, y, cell - 2, 22, title, f' fill-opacity="{strength(share, usual)}"'),
            ]
            if n >= LEAST:
                parts.append(svg.text(x + cell / 2 - 1, y + 15, f"{100 * share:.0f}", "ink", "middle"))
    return svg.svg(top + 24 * len(rows) + 6, "In how many clips of each emotion a class occurs, in per cent", parts)


def strength(share: float, usual: float) -> str:
    return svg.shade(min(abs(share - usual) / max(usual, 1 - usual, 0.01), 1)) if share != usual else "0"


def timeline(row: Mapping[str, Any], groups: Sequence[str]) -> str:
    """A clip's events as one band, as the agreement page draws them."""
    events = [e | {"certainty": None} for e in row["events"]]
    version = {"name": "events", "events": events}
    drawn = {"clip": row["clip_id"], "duration_ms": row["duration_ms"], "versions": [version], "adjudicated": None,
             "proposals": None}  # fmt: skip
    return svg.timeline(drawn, groups)
