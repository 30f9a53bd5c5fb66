"""The plots of agreement.html, as SVG: scores, edges, confusion, pairs of annotators, proposals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deemo_data.reports.svg import (
    LABEL_WIDTH_PX,
    ROW_HEIGHT_PX,
    WIDTH_PX,
    cell_opacity,
    describe_figure,
    draw_box,
    draw_dot,
    draw_line,
    draw_svg,
    draw_text,
    scale_position,
    shorten,
)

PANELS = ((336, 600, 0.0, 1.0), (636, 894, -0.2, 1.0))  # of F1 and of alpha: left and right edge in px, lowest and highest value
ALPHA_MARKS = (0.667, 0.8)  # from which on Krippendorff allows tentative conclusions, and conclusions


def draw_scores(rows: Sequence[Mapping[str, Any]], same: float, description: str) -> str:
    """F1 (left) and alpha (right) of each row: figure, interval and chance level. A row without figures is a heading.

    rows  dicts with name, style (CSS class of the dot), f1, alpha, and strong (True: printed bold)
    same  the IoU at which two events count as the same event
    """
    height = 44 + ROW_HEIGHT_PX * len(rows)
    parts = []
    for (left, right, low, high), title in zip(PANELS, (f"F1 (IoU ≥ {same})", "Krippendorff’s alpha"), strict=True):
        parts.append(draw_text((left + right) / 2, 13, title, "strong", "middle"))
        for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
            x = scale_position(tick, left, right, low, high)
            parts += [draw_line("grid", x, 36, x, height - 4), draw_text(x, 30, f"{tick:g}", "axis", "middle")]
    for mark in ALPHA_MARKS:
        x = scale_position(mark, *PANELS[1])
        parts.append(draw_line("level", x, 36, x, height - 4))
    for number, row in enumerate(rows):
        middle = 44 + ROW_HEIGHT_PX * (number + 0.5)
        strong = "strong" if row.get("strong") else ""
        parts.append(draw_text(0 if strong else 12, middle + 4, shorten(row["name"], 42), strong))
        if "f1" not in row:
            continue
        parts.append(draw_text(LABEL_WIDTH_PX, middle + 4, str(row["f1"]["n"]), "axis", "end"))
        for panel, key in zip(PANELS, ("f1", "alpha"), strict=True):
            parts += _draw_figure(row[key], row["style"], middle, panel, row["name"])
    return draw_svg(height, description, parts)


def _draw_figure(
    figure: Mapping[str, Any], style: str, y: float, panel: tuple[float, float, float, float], name: str
) -> list[str]:
    parts = []
    if figure["value"] is None:
        return [draw_text(panel[0] + 4, y + 4, shorten(str(figure["why"]), 44), "axis")]
    if figure["chance"] is not None:
        x = scale_position(figure["chance"], *panel)
        parts.append(draw_line("chance", x, y - 6, x, y + 6))
    if figure["low"] is not None:
        parts.append(
            draw_line(f"bar {style}", scale_position(figure["low"], *panel), y, scale_position(figure["high"], *panel), y)
        )
    return [*parts, draw_dot(style, scale_position(figure["value"], *panel), y, f"{name}: {describe_figure(figure)}")]


def draw_edge_curves(edges: Mapping[str, Any], description: str) -> str:
    """The share of matched events whose edges lie at most a number of milliseconds apart: a curve for start and for end."""
    left, right, top, bottom = 56, 640, 14, 250
    within = {name: edges[name]["within"] for name in ("start", "end")}
    full = next((ms for (ms, a), (_, b) in zip(*within.values(), strict=True) if min(a, b) >= 0.995), within["start"][-1][0])
    last_ms = min(max(-(-full // 250) * 250, 500), within["start"][-1][0])
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = bottom - (bottom - top) * share
        parts += [draw_line("grid", left, y, right, y), draw_text(left - 8, y + 4, f"{share:.0%}", "axis", "end")]
    for ms in range(0, last_ms + 1, 250):
        x = left + (right - left) * ms / last_ms
        parts += [draw_line("grid", x, top, x, bottom), draw_text(x, bottom + 18, f"{ms}", "axis", "middle")]
    parts.append(draw_text((left + right) / 2, bottom + 38, "edges apart, milliseconds", "axis", "middle"))
    for number, name in enumerate(("start", "end")):
        points = " ".join(
            f"{left + (right - left) * ms / last_ms:.1f},{bottom - (bottom - top) * share:.1f}"
            for ms, share in within[name]
            if ms <= last_ms
        )
        median, p90 = edges[name]["median_ms"], edges[name]["p90_ms"]
        parts.append(f'<polyline class="curve c{number}" points="{points}"/>')
        y = 70 + 84 * number
        parts += [draw_line(f"curve c{number}", right + 22, y - 4, right + 50, y - 4), draw_text(right + 58, y, name, "strong")]
        if median["value"] is not None:
            span = f" ({median['low']:.0f} to {median['high']:.0f})" if median["low"] is not None else ""
            parts.append(draw_text(right + 58, y + 19, f"half within {median['value']:.0f} ms{span}"))
            parts.append(draw_text(right + 58, y + 37, f"nine of ten within {p90['value']:.0f} ms"))
    return draw_svg(bottom + 46, description, parts)


def draw_confusion(table: Mapping[str, Any], description: str) -> str:
    """Confusion matrix. Rows: what one person marked; columns: what the other one called it, last "nothing"."""
    names, counts = table["classes"], table["counts"]
    columns = [*names, "nothing"]
    cell = min(34.0, (WIDTH_PX - LABEL_WIDTH_PX - 90) / len(columns))  # the last name leans out to the right
    top = 190.0
    parts = []
    for number, name in enumerate(columns):
        x = LABEL_WIDTH_PX + 8 + cell * (number + 0.5)
        x, angle = (x, -60) if cell >= 18 else (x + 4, -90)  # leaning names need room
        rotation = f' transform="rotate({angle} {x:.1f} {top - 8:.1f})"'
        parts.append(draw_text(x, top - 8, shorten(name, 30), "axis" if cell > 11 else "tiny", attributes=rotation))
    for r, (name, row) in enumerate(zip(names, counts, strict=True)):
        y, total = top + cell * r, sum(row)
        parts.append(draw_text(LABEL_WIDTH_PX, y + cell / 2 + 4, shorten(name, 42), "axis" if cell > 11 else "tiny", "end"))
        for c, count in enumerate(row):
            share, x = count / total, LABEL_WIDTH_PX + 8 + cell * c
            style = "h2" if c == len(names) else "h0" if c == r else "h1"
            title = f"{name} / {columns[c]}: {count} of {total}"
            parts.append(draw_box("cell", x, y, cell - 1, cell - 1))
            if count:
                parts.append(draw_box(style, x, y, cell - 1, cell - 1, title, f' fill-opacity="{cell_opacity(share)}"'))
                if cell >= 22 and share >= 0.01:
                    parts.append(draw_text(x + (cell - 1) / 2, y + cell / 2 + 4, f"{100 * share:.0f}", "ink", "middle"))
    return draw_svg(top + cell * len(names) + 6, description, parts)


def draw_pair_matrix(people: Sequence[str], pairs: Sequence[Mapping[str, Any]], description: str) -> str:
    """A matrix of the F1 of every two annotators who saw clips in common."""
    cell, top, left = min(62.0, (WIDTH_PX - 150) / max(len(people), 1)), 26.0 if len(people) <= 6 else 112.0, 140.0
    by = {tuple(p["between"]): p for p in pairs}
    parts = []
    for number, name in enumerate(people):
        x = left + cell * (number + 0.5)
        rotation = f' transform="rotate(-60 {x:.1f} {top - 8:.1f})"' if len(people) > 6 else ""
        parts.append(draw_text(x, top - 8, name[:7], "axis", "start" if rotation else "middle", rotation))
        parts.append(draw_text(left - 8, top + cell * (number + 0.5) + 4, name, "axis", "end"))
    for r, a in enumerate(people):
        for c, b in enumerate(people):
            x, y = left + cell * c, top + cell * r
            parts.append(draw_box("cell", x, y, cell - 2, cell - 2))
            if (pair := by.get((min(a, b), max(a, b)))) is None or a == b:
                continue
            value, title = pair["f1"]["value"], f"{a} and {b}: {describe_figure(pair['f1'])}, {pair['clips']} clips"
            parts.append(draw_box("h0", x, y, cell - 2, cell - 2, title, f' fill-opacity="{cell_opacity(value or 0)}"'))
            words = "–" if value is None else f"{value:.2f}" if cell > 34 else f"{100 * value:.0f}"
            parts.append(draw_text(x + cell / 2 - 1, y + cell / 2 + 4, words, "ink", "middle"))
    return draw_svg(top + cell * len(people) + 4, description, parts)


def draw_proposal_bars(rows: Sequence[Mapping[str, Any]], description: str) -> str:
    """What became of proposals, class by class: shares accepted, corrected and removed, and the number of events added."""
    left, right = LABEL_WIDTH_PX + 50, 800
    parts = [draw_text(LABEL_WIDTH_PX + 40, 14, "proposed", "axis", "end"), draw_text(WIDTH_PX - 2, 14, "added", "axis", "end")]
    for number, row in enumerate(rows):
        y = 24 + 22 * number
        parts.append(draw_text(0, y + 12, shorten(row["name"], 42), "strong" if row.get("strong") else ""))
        parts += [
            draw_text(LABEL_WIDTH_PX + 40, y + 12, str(row["proposed"]), "axis", "end"),
            draw_text(WIDTH_PX - 2, y + 12, str(row["added"]), "axis", "end"),
        ]
        x = float(left)
        for place, kind in enumerate(("accepted", "corrected", "removed")):
            wide = (right - left) * row[kind] / row["proposed"] if row["proposed"] else 0
            if wide:
                parts.append(draw_box(f"p{place}", x, y, max(wide - 1, 0.5), 16, f"{row['name']}: {row[kind]} {kind}"))
                if wide > 30:
                    parts.append(draw_text(x + wide / 2, y + 12, str(row[kind]), "on", "middle"))
            x += wide
    return draw_svg(30 + 22 * len(rows), description, parts)
