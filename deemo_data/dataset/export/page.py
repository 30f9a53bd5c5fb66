"""out/dataset.html: one page that shows a dataset, made from the counts of its tables and from masked stills.

The page is for the project and is not published. It has no scripts and no links. Its template is reports/dataset.html; the
functions here draw its plots as SVG.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deemo_data.dataset.counts import read_rows
from deemo_data.dataset.documents import statements
from deemo_data.dataset.layout import MANIFEST, SPLITS, TABLES
from deemo_data.errors import DatasetError
from deemo_data.files import write_if_changed
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.media.encode import encode_jpeg
from deemo_data.media.limits import FILE_OPTIONS
from deemo_data.reports import svg
from deemo_data.reports.html import render_template

MAX_STILLS = 6  # clips that are shown with a still
STILL_WIDTH_PX = 400
NAMES_WIDTH_PX = 300.0  # room for names, left of the bars
MIN_NUMBERED_CLIPS = 5  # a cell of the co-occurrence map has a number if at least so many clips have both


def write_page(folder: Path, path: Path, nfbl: Nfbl, agreement: Mapping[str, Any] | None = None) -> bool:
    """Write the page of the dataset in `folder` to `path`; whether it changed.

    agreement  out/agreement.json, if agreement was measured
    Raises DatasetError when `folder` holds no dataset that we wrote.
    """
    return write_if_changed(path, render_page(folder, nfbl, agreement))


def render_page(folder: Path, nfbl: Nfbl, agreement: Mapping[str, Any] | None = None) -> str:
    from markupsafe import Markup

    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        counts = manifest["counts"]
    except (OSError, ValueError, KeyError) as e:
        raise DatasetError(f"{folder} holds no dataset that can be shown", "Type: deemo export DIR") from e
    groups = list(nfbl.groups)
    stills = list(choose_stills(folder))
    return render_template(
        "dataset.html",
        counts=counts,
        splits=statements.ordered_splits(counts),
        version=manifest["version"],
        title=statements.TITLE,
        headline=statements.headline(counts),
        minutes=f"{counts['seconds'] / 60:.1f}",
        colours=[(name, svg.colour_class(key, groups)) for key, name in nfbl.groups.items()],
        classes=Markup(class_bars(counts, groups)),
        never=[c.name for c in nfbl.classes if c.name not in counts["classes"]],
        lengths=Markup(length_bars(counts["lengths"])),
        emotions=Markup(emotion_bars(counts)) if counts["emotions"] else "",
        together=Markup(co_occurrence_map(counts)) if any(counts["together"].get(e) for e in counts["emotions"]) else "",
        least=MIN_NUMBERED_CLIPS,
        levels=statements.LEVEL_WORDS,
        agreement=statements.agreement_statements(agreement),
        stills=[(row, base64.b64encode(jpeg).decode(), Markup(event_timeline(row, groups))) for row, jpeg in stills],
        percent=lambda share: f"{share:.0%}".replace("%", " %"),
    )  # fmt: skip


def choose_stills(folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """(nfbl row, still as JPEG) of the clips with the most classes of events.

    Each subject has one clip before any subject has a second one.
    """
    best: list[tuple[int, int, str, dict[str, Any], Path]] = []
    nth: dict[str, int] = {}  # subject -> number of its clips so far, from 0
    rows = [(row, folder / split) for split in SPLITS for row in read_rows(folder / split / TABLES["nfbl"])]
    for row, base in sorted(rows, key=lambda f: (-len({e["label"] for e in f[0]["events"]}), f[0]["clip_id"])):
        nth[row["subject_id"]] = nth.get(row["subject_id"], -1) + 1
        best.append((nth[row["subject_id"]], len(best), row["clip_id"], row, base / row["file_name"]))
        if nth[row["subject_id"]] == 0 and len(nth) == MAX_STILLS:
            break
    for *_, row, path in sorted(best, key=lambda b: b[:3])[:MAX_STILLS]:
        longest = max(row["events"], key=lambda e: (e["end_frame"] - e["start_frame"], -e["start_frame"]), default=None)
        frame = (longest["start_frame"] + longest["end_frame"]) // 2 if longest else row["num_frames"] // 2
        yield row, encode_still(path, frame)


def encode_still(video: Path, frame: int) -> bytes:
    """One frame of a released video as a small JPEG."""
    import av

    with av.open(str(video), options=FILE_OPTIONS, metadata_errors="replace") as container:
        for number, picture in enumerate(container.decode(video=0)):
            if number == frame:
                return encode_jpeg(picture.to_ndarray(format="bgr24"), 72, STILL_WIDTH_PX)
    raise DatasetError(f"{video.name} has no frame {frame}", "Type: deemo validate DATASET")


def class_bars(counts: Mapping[str, Any], groups: Sequence[str]) -> str:
    """A bar per class: how many events it has, most frequent first, in the colour of its group."""
    rows = sorted(counts["classes"].items(), key=lambda kv: (-kv[1]["events"], kv[0]))
    max_events = max((c["events"] for _, c in rows), default=1)
    right, parts = svg.WIDTH_PX - 250, [svg.draw_text(svg.WIDTH_PX - 170, 13, "clips", "axis", "end"),
                                       svg.draw_text(svg.WIDTH_PX - 90, 13, "subjects", "axis", "end"),
                                       svg.draw_text(svg.WIDTH_PX - 2, 13, "median, s", "axis", "end")]  # fmt: skip
    for number, (name, c) in enumerate(rows):
        y = 22 + 21 * number
        width = max((right - NAMES_WIDTH_PX) * c["events"] / max_events, 1)
        title = f"{name}: {c['events']} events"
        parts += [
            svg.draw_text(NAMES_WIDTH_PX - 8, y + 13, svg.shorten(name, 44), "", "end"),
            svg.draw_box(svg.colour_class(c["group"], groups), NAMES_WIDTH_PX, y, width, 16, title, ' rx="2"'),
            svg.draw_text(NAMES_WIDTH_PX + width + 6, y + 13, str(c["events"]), "axis"),
            svg.draw_text(svg.WIDTH_PX - 170, y + 13, str(c["clips"]), "axis", "end"),
            svg.draw_text(svg.WIDTH_PX - 90, y + 13, str(c["subjects"]), "axis", "end"),
            svg.draw_text(svg.WIDTH_PX - 2, y + 13, f"{c['median_ms'] / 1000:.1f}", "axis", "end"),
        ]
    return svg.draw_svg(26 + 21 * len(rows), "Events of each class; a number beside each bar says how many", parts)


def length_bars(lengths: Mapping[str, int]) -> str:
    """A histogram of the durations of clips, in bins of one second, or of a few seconds when clips are long."""
    seconds = {int(k): n for k, n in lengths.items()}
    top, step = max(seconds) + 1, 1
    while top / step > 40:
        step = {1: 2, 2: 5}.get(step, step * 2)
    bins = [sum(n for s, n in seconds.items() if s // step == k) for k in range(-(-top // step))]
    max_clips, max_height, base = max(bins), 120.0, 140.0
    width = min(60.0, (svg.WIDTH_PX - 60) / len(bins))
    parts = [svg.draw_line("grid", 40, base, 40 + width * len(bins), base)]
    for k, n in enumerate(bins):
        x, height = 40 + width * k, max_height * n / max_clips
        if n:
            title = f"{n} clips of {k * step} to {(k + 1) * step} s"
            parts.append(svg.draw_box("h0", x + 1, base - height, width - 2, height, title))
            if width > 22:
                parts.append(svg.draw_text(x + width / 2, base - height - 4, str(n), "axis", "middle"))
        if width > 26 or k % 5 == 0:
            parts.append(svg.draw_text(x, base + 16, str(k * step), "axis", "middle"))
    parts.append(svg.draw_text(40 + width * len(bins) / 2, base + 36, "seconds", "axis", "middle"))
    return svg.draw_svg(base + 42, "How many clips are how long", parts)


def emotion_bars(counts: Mapping[str, Any]) -> str:
    """The shares of the emotions in all clips and in each split: in stratified splits they are similar."""
    names = [name for name, _ in statements.sort_by_count(counts["emotions"])]
    rows = [("all", counts["emotions"]), *((s, row["emotions"]) for s, row in statements.ordered_splits(counts))]
    parts: list[str] = []
    cell = min(90.0, (svg.WIDTH_PX - 170) / len(names))
    is_rotated = cell < 6.5 * max(map(len, names))
    top = 74 if is_rotated else 20
    for number, name in enumerate(names):
        x = 110 + cell * (number + 0.5)
        rotation = f' transform="rotate(-50 {x:.1f} {top - 6})"' if is_rotated else ""
        parts.append(svg.draw_text(x, top - 6, name, "axis", "start" if is_rotated else "middle", rotation))
    for number, (split, emotions) in enumerate(rows):
        y, total = top + 34 * number, sum(emotions.values())
        parts.append(svg.draw_text(100, y + 19, split, "strong" if split == "all" else "", "end"))
        for place, name in enumerate(names):
            n, x = emotions.get(name, 0), 110 + cell * place
            share = n / total if total else 0
            title = f"{split}, {name}: {n} of {total}"
            parts += [
                svg.draw_box("cell", x, y, cell - 2, 30),
                svg.draw_box("h0", x, y, cell - 2, 30, title, f' fill-opacity="{svg.cell_opacity(share) if n else 0}"'),
                svg.draw_text(x + cell / 2 - 1, y + 19, f"{100 * share:.0f} %" if n else "–", "ink" if n else "axis", "middle"),
            ]
    return svg.draw_svg(
        top + 4 + 34 * len(rows), "Emotions: of all clips that have one, and of those of each split, in per cent", parts
    )


def co_occurrence_map(counts: Mapping[str, Any]) -> str:
    """In how many clips of each emotion each class occurs: rows are classes, columns are emotions.

    The colour compares this share with the share among all clips that have an emotion.
    """
    emotions = [name for name, _ in statements.sort_by_count(counts["emotions"])]
    clips, total = counts["emotions"], sum(counts["emotions"].values())
    clips_with = {e: counts["together"].get(e, {}) for e in emotions}
    classes = {name: sum(clips_with[e].get(name, 0) for e in emotions) for name in counts["classes"]}
    rows = [name for name, n in statements.sort_by_count(classes) if n][:20]
    cell, top = min(60.0, (svg.WIDTH_PX - NAMES_WIDTH_PX - 80) / len(emotions)), 96.0
    parts: list[str] = []
    for number, emotion in enumerate(emotions):
        x = NAMES_WIDTH_PX + cell * (number + 0.5)
        rotation = f' transform="rotate(-50 {x:.1f} {top - 8:.1f})"'
        parts.append(svg.draw_text(x, top - 8, f"{emotion} ({clips[emotion]})", "axis", "start", rotation))
    for r, name in enumerate(rows):
        y = top + 24 * r
        parts.append(svg.draw_text(NAMES_WIDTH_PX - 8, y + 16, svg.shorten(name, 44), "axis", "end"))
        for c, emotion in enumerate(emotions):
            n, x = clips_with[emotion].get(name, 0), NAMES_WIDTH_PX + cell * c
            share, overall_share = n / clips[emotion], classes[name] / total
            is_more_frequent = share >= overall_share
            title = f"{name}: in {n} of {clips[emotion]} clips with {emotion}, in {classes[name]} of {total} of all"
            parts += [
                svg.draw_box("cell", x, y, cell - 2, 22),
                svg.draw_box(
                    "h0" if is_more_frequent else "h1",
                    x,
                    y,
                    cell - 2,
                    22,
                    title,
                    f' fill-opacity="{difference_shade(share, overall_share)}"',
                ),
            ]
            if n >= MIN_NUMBERED_CLIPS:
                parts.append(svg.draw_text(x + cell / 2 - 1, y + 15, f"{100 * share:.0f}", "ink", "middle"))
    return svg.draw_svg(top + 24 * len(rows) + 6, "In how many clips of each emotion a class occurs, in per cent", parts)


def difference_shade(share: float, overall_share: float) -> str:
    """Opacity of a cell: how far a share is from the overall share, relative to the largest possible difference."""
    if share == overall_share:
        return "0"
    return svg.cell_opacity(min(abs(share - overall_share) / max(overall_share, 1 - overall_share, 0.01), 1))


def event_timeline(row: Mapping[str, Any], groups: Sequence[str]) -> str:
    """The events of a clip on one band, drawn as on the agreement page. An empty band says whether anybody looked."""
    events = [e | {"certainty": None} for e in row["events"]]
    when_empty = "nobody has looked at this clip" if row["annotation"] == "none" else "looked at: nothing was marked"
    version = {"name": "events", "events": events, "when_empty": when_empty}
    timeline = {"clip": row["clip_id"], "duration_ms": row["duration_ms"], "versions": [version], "adjudicated": None,
             "proposals": None}  # fmt: skip
    return svg.draw_timeline(timeline, groups)
