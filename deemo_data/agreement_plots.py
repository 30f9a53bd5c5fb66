"""The pictures of out/agreement.html, as SVG: dots with intervals, heat maps, curves, bars and timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH = 900
ROW = 20  # px of a line in a plot of dots
LABELS = 322  # px for names, left of a plot
PANELS = ((336, 600, 0.0, 1.0), (636, 894, -0.2, 1.0))  # left, right, lowest and highest value: F1, alpha
MARKS = (0.667, 0.8)  # Krippendorff's, for alpha
COLOURS = 8  # of groups; then they come again
LETTER = 6.1  # px, about, of a letter of 11 px


def colour(group: str, groups: Sequence[str]) -> str:
    """The CSS class of a group's colour."""
    return f"g{groups.index(group) % COLOURS}" if group in groups else "g0"


def svg(height: float, words: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(words)}">{"".join(parts)}</svg>'


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start", more: str = "") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def line(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def box(style: str, x: float, y: float, width: float, height: float, title: str = "", more: str = "") -> str:
    said = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{more}>{said}</rect>'


def short(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: letters - 1].rstrip() + "…"


def said(figure: Mapping[str, Any]) -> str:
    """A figure in words, for whoever points at it."""
    if figure["value"] is None:
        return str(figure["why"])
    told = f"{figure['value']:.2f}"
    if figure["low"] is not None:
        told += f" ({figure['low']:.2f} to {figure['high']:.2f})"
    return told + f", {figure['n']} {figure['unit']}"


def scores(rows: Sequence[Mapping[str, Any]], same: float, words: str) -> str:
    """F1 (left) and alpha (right): figure with interval, and what chance gives. A row without figures is a heading.

    rows  name, style (CSS class of the dot), f1, alpha; strong: True for those that come first
    """
    height = 44 + ROW * len(rows)
    parts = []
    for (left, right, low, high), title in zip(PANELS, (f"F1 (IoU ≥ {same})", "Krippendorff’s alpha"), strict=True):
        parts.append(text((left + right) / 2, 13, title, "strong", "middle"))
        for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
            x = _at(tick, left, right, low, high)
            parts += [line("grid", x, 36, x, height - 4), text(x, 30, f"{tick:g}", "axis", "middle")]
    for mark in MARKS:
        x = _at(mark, *PANELS[1])
        parts.append(line("level", x, 36, x, height - 4))
    for number, row in enumerate(rows):
        middle = 44 + ROW * (number + 0.5)
        strong = "strong" if row.get("strong") else ""
        parts.append(text(0 if strong else 12, middle + 4, short(row["name"], 42), strong))
        if "f1" not in row:
            continue
        parts.append(text(LABELS, middle + 4, str(row["f1"]["n"]), "axis", "end"))
        for panel, key in zip(PANELS, ("f1", "alpha"), strict=True):
            parts += _dot(row[key], row["style"], middle, panel, row["name"])
    return svg(height, words, parts)


def _dot(figure: Mapping[str, Any], style: str, y: float, panel: tuple[float, float, float, float], name: str) -> list[str]:
    parts = []
    if figure["value"] is None:
        return [text(panel[0] + 4, y + 4, short(str(figure["why"]), 44), "axis")]
    if figure["chance"] is not None:
        x = _at(figure["chance"], *panel)
        parts.append(line("chance", x, y - 6, x, y + 6))
    if figure["low"] is not None:
        parts.append(line(f"bar {style}", _at(figure["low"], *panel), y, _at(figure["high"], *panel), y))
    x = _at(figure["value"], *panel)
    title = escape(f"{name}: {said(figure)}")
    return [*parts, f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4.2"><title>{title}</title></circle>']


def _at(value: float, left: float, right: float, low: float, high: float) -> float:
    return left + (right - left) * (min(max(value, low), high) - low) / (high - low)


def shade(share: float) -> str:
    """How strong the colour of a cell is: never so strong that black or white letters on it cannot be read."""
    return f"{0.06 + 0.5 * share:.2f}"


def curves(edges: Mapping[str, Any], words: str) -> str:
    """Share of matched events whose edges lie within so many ms: start and end."""
    left, right, top, bottom = 56, 640, 14, 250
    within = {name: edges[name]["within"] for name in ("start", "end")}
    full = next((ms for (ms, a), (_, b) in zip(*within.values(), strict=True) if min(a, b) >= 0.995), within["start"][-1][0])
    most = min(max(-(-full // 250) * 250, 500), within["start"][-1][0])
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = bottom - (bottom - top) * share
        parts += [line("grid", left, y, right, y), text(left - 8, y + 4, f"{share:.0%}", "axis", "end")]
    for ms in range(0, most + 1, 250):
        x = left + (right - left) * ms / most
        parts += [line("grid", x, top, x, bottom), text(x, bottom + 18, f"{ms}", "axis", "middle")]
    parts.append(text((left + right) / 2, bottom + 38, "edges apart, milliseconds", "axis", "middle"))
    for number, name in enumerate(("start", "end")):
        points = " ".join(
            f"{left + (right - left) * ms / most:.1f},{bottom - (bottom - top) * share:.1f}"
            for ms, share in within[name]
            if ms <= most
        )
        median, p90 = edges[name]["median_ms"], edges[name]["p90_ms"]
        parts.append(f'<polyline class="curve c{number}" points="{points}"/>')
        y = 70 + 84 * number
        parts += [line(f"curve c{number}", right + 22, y - 4, right + 50, y - 4), text(right + 58, y, name, "strong")]
        if median["value"] is not None:
            span = f" ({median['low']:.0f} to {median['high']:.0f})" if median["low"] is not None else ""
            parts.append(text(right + 58, y + 19, f"half within {median['value']:.0f} ms{span}"))
            parts.append(text(right + 58, y + 37, f"nine of ten within {p90['value']:.0f} ms"))
    return svg(bottom + 46, words, parts)


def confusion(told: Mapping[str, Any], words: str) -> str:
    """Rows: what one person marked. Columns: what the other one called it; last: marked nothing there."""
    names, counts = told["classes"], told["counts"]
    columns = [*names, "nothing"]
    cell = min(34.0, (WIDTH - LABELS - 90) / len(columns))  # the last name leans out to the right
    top = 190.0
    parts = []
    for number, name in enumerate(columns):
        x = LABELS + 8 + cell * (number + 0.5)
        x, angle = (x, -60) if cell >= 18 else (x + 4, -90)  # leaning names need room
        turned = f' transform="rotate({angle} {x:.1f} {top - 8:.1f})"'
        parts.append(text(x, top - 8, short(name, 30), "axis" if cell > 11 else "tiny", more=turned))
    for r, (name, row) in enumerate(zip(names, counts, strict=True)):
        y, total = top + cell * r, sum(row)
        parts.append(text(LABELS, y + cell / 2 + 4, short(name, 42), "axis" if cell > 11 else "tiny", "end"))
        for c, count in enumerate(row):
            share, x = count / total, LABELS + 8 + cell * c
            style = "h2" if c == len(names) else "h0" if c == r else "h1"
            title = f"{name} / {columns[c]}: {count} of {total}"
            parts.append(box("cell", x, y, cell - 1, cell - 1))
            if count:
                parts.append(box(style, x, y, cell - 1, cell - 1, title, f' fill-opacity="{shade(share)}"'))
                if cell >= 22 and share >= 0.01:
                    parts.append(text(x + (cell - 1) / 2, y + cell / 2 + 4, f"{100 * share:.0f}", "ink", "middle"))
    return svg(top + cell * len(names) + 6, words, parts)


def matrix(people: Sequence[str], pairs: Sequence[Mapping[str, Any]], words: str) -> str:
    """F1 of every two annotators who saw clips in common."""
    cell, top, left = min(62.0, (WIDTH - 150) / max(len(people), 1)), 26.0 if len(people) <= 6 else 112.0, 140.0
    by = {tuple(p["between"]): p for p in pairs}
    parts = []
    for number, name in enumerate(people):
        x = left + cell * (number + 0.5)
        turned = f' transform="rotate(-60 {x:.1f} {top - 8:.1f})"' if len(people) > 6 else ""
        parts.append(text(x, top - 8, name[:7], "axis", "start" if turned else "middle", turned))
        parts.append(text(left - 8, top + cell * (number + 0.5) + 4, name, "axis", "end"))
    for r, a in enumerate(people):
        for c, b in enumerate(people):
            x, y = left + cell * c, top + cell * r
            parts.append(box("cell", x, y, cell - 2, cell - 2))
            if (pair := by.get((min(a, b), max(a, b)))) is None or a == b:
                continue
            value, title = pair["f1"]["value"], f"{a} and {b}: {said(pair['f1'])}, {pair['clips']} clips"
            parts.append(box("h0", x, y, cell - 2, cell - 2, title, f' fill-opacity="{shade(value or 0)}"'))
            told = "–" if value is None else f"{value:.2f}" if cell > 34 else f"{100 * value:.0f}"
            parts.append(text(x + cell / 2 - 1, y + cell / 2 + 4, told, "ink", "middle"))
    return svg(top + cell * len(people) + 4, words, parts)


def bars(rows: Sequence[Mapping[str, Any]], words: str) -> str:
    """What became of proposals, class by class: shares accepted, corrected, removed; and how many events nobody proposed."""
    left, right = LABELS + 50, 800
    parts = [text(LABELS + 40, 14, "proposed", "axis", "end"), text(WIDTH - 2, 14, "added", "axis", "end")]
    for number, row in enumerate(rows):
        y = 24 + 22 * number
        parts.append(text(0, y + 12, short(row["name"], 42), "strong" if row.get("strong") else ""))
        parts += [
            text(LABELS + 40, y + 12, str(row["proposed"]), "axis", "end"),
            text(WIDTH - 2, y + 12, str(row["added"]), "axis", "end"),
        ]
        x = float(left)
        for place, kind in enumerate(("accepted", "corrected", "removed")):
            wide = (right - left) * row[kind] / row["proposed"] if row["proposed"] else 0
            if wide:
                parts.append(box(f"p{place}", x, y, max(wide - 1, 0.5), 16, f"{row['name']}: {row[kind]} {kind}"))
                if wide > 30:
                    parts.append(text(x + wide / 2, y + 12, str(row[kind]), "on", "middle"))
            x += wide
    return svg(30 + 22 * len(rows), words, parts)


def timeline(clip: Mapping[str, Any], groups: Sequence[str]) -> str:
    """Everybody's events of one clip, one band each; the adjudicated version and the proposals below."""
    bands = [(v["name"], v["events"], "") for v in clip["versions"]]
    bands += [("adjudicated", clip["adjudicated"], "")] if clip["adjudicated"] is not None else []
    bands += [("proposals", clip["proposals"], " draft")] if clip["proposals"] is not None else []
    left, right, y = 130.0, WIDTH - 6.0, 4.0
    wide = (right - left) / max(clip["duration_ms"], 1)
    parts: list[str] = []
    for name, events, style in bands:
        lanes = lanes_of(events)
        deep = 19.0 * max(len(set(lanes)), 1)
        parts += [box("band", left, y, right - left, deep + 3), text(left - 8, y + 15, name, "axis", "end")]
        if not events:
            parts.append(text(left + 6, y + 15, "nothing", "axis"))
        for event, lane in zip(events, lanes, strict=True):
            x, length = left + event["start_ms"] * wide, max((event["end_ms"] - event["start_ms"]) * wide, 2)
            sure = f", {event['certainty']}" if event["certainty"] else ""
            title = f"{event['label']}, {event['start_ms'] / 1000:.2f} to {event['end_ms'] / 1000:.2f} s{sure}"
            parts.append(
                box(f"{colour(event['group'], groups)}{style}", x, y + 2 + 19 * lane, length - 0.5, 17, title, ' rx="2"')
            )
            if (letters := int((length - 6) / LETTER)) >= 3:
                parts.append(text(x + 4, y + 14 + 19 * lane, short(event["label"], letters), "ink" if style else "on small"))
        y += deep + 8
    seconds = clip["duration_ms"] / 1000
    step = next((s for s in (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600) if seconds / s <= 12), 1200)
    for k in range(int(seconds / step) + 1):
        x = left + k * step * 1000 * wide
        parts += [line("grid", x, y - 3, x, y + 3), text(min(x, right - 12), y + 16, f"{k * step:g} s", "axis", "middle")]
    words = f"Clip {clip['clip']}: events of {', '.join(name for name, _, _ in bands)} over {seconds:.1f} seconds"
    return svg(y + 22, words, parts)


def lanes_of(events: Sequence[Mapping[str, Any]]) -> list[int]:
    """A lane for each event, such that none covers another."""
    free: list[float] = []
    lanes = [0] * len(events)
    for number in sorted(range(len(events)), key=lambda n: (events[n]["start_ms"], events[n]["end_ms"])):
        event = events[number]
        lane = next((k for k, end in enumerate(free) if end <= event["start_ms"]), len(free))
        free[lane : lane + 1] = [event["end_ms"]]
        lanes[number] = lane
    return lanes
