"""Its plots: scores, confusion, edges, annotator matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from deemo_data.reports.svg import LABELS, ROW, WIDTH, box, ellipsis, line, point_at, said, shade, svg, text

PANELS = ((336, 600, 0.0, 1.0), (636, 894, -0.2, 1.0))  # left, right, lowest and highest value: F1, alpha
MARKS = (0.667, 0.8)  # Krippendorff's, for alpha


def scores(rows: Sequence[Mapping[str, Any]], same: float, words: str) -> str:
    """F1 (left) and alpha (right): figure with interval, and what chance gives. A row without figures is a heading.

    rows  name, style (CSS class of the dot), f1, alpha; strong: True for those that come first
    """
    height = 44 + ROW * len(rows)
    parts = []
    for (left, right, low, high), title in zip(PANELS, (f"F1 (IoU ≥ {same})", "Krippendorff’s alpha"), strict=True):
        parts.append(text((left + right) / 2, 13, title, "strong", "middle"))
        for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
            x = point_at(tick, left, right, low, high)
            parts += [line("grid", x, 36, x, height - 4), text(x, 30, f"{tick:g}", "axis", "middle")]
    for mark in MARKS:
        x = point_at(mark, *PANELS[1])
        parts.append(line("level", x, 36, x, height - 4))
    for number, row in enumerate(rows):
        middle = 44 + ROW * (number + 0.5)
        strong = "strong" if row.get("strong") else ""
        parts.append(text(0 if strong else 12, middle + 4, ellipsis(row["name"], 42), strong))
        if "f1" not in row:
            continue
        parts.append(text(LABELS, middle + 4, str(row["f1"]["n"]), "axis", "end"))
        for panel, key in zip(PANELS, ("f1", "alpha"), strict=True):
            parts += _dot(row[key], row["style"], middle, panel, row["name"])
    return svg(height, words, parts)


def _dot(figure: Mapping[str, Any], style: str, y: float, panel: tuple[float, float, float, float], name: str) -> list[str]:
    parts = []
    if figure["value"] is None:
        return [text(panel[0] + 4, y + 4, ellipsis(str(figure["why"]), 44), "axis")]
    if figure["chance"] is not None:
        x = point_at(figure["chance"], *panel)
        parts.append(line("chance", x, y - 6, x, y + 6))
    if figure["low"] is not None:
        parts.append(line(f"bar {style}", point_at(figure["low"], *panel), y, point_at(figure["high"], *panel), y))
    x = point_at(figure["value"], *panel)
    title = escape(f"{name}: {said(figure)}")
    return [*parts, f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4.2"><title>{title}</title></circle>']


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
        parts.append(text(x, top - 8, ellipsis(name, 30), "axis" if cell > 11 else "tiny", more=turned))
    for r, (name, row) in enumerate(zip(names, counts, strict=True)):
        y, total = top + cell * r, sum(row)
        parts.append(text(LABELS, y + cell / 2 + 4, ellipsis(name, 42), "axis" if cell > 11 else "tiny", "end"))
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
        parts.append(text(0, y + 12, ellipsis(row["name"], 42), "strong" if row.get("strong") else ""))
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
