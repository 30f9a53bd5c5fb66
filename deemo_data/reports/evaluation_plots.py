"""The plots of evaluation.html, as SVG: figures with intervals and chance levels, confusion, calibration, learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deemo_data.reports.svg import cell_opacity, draw_box, draw_dot, draw_line, draw_svg, draw_text, scale_position, shorten

ROW_HEIGHT_PX = 24
PANELS_PX = ((270, 465), (490, 685), (705, 890))  # left and right edge of the panel of each measure
TICKS = (0, 0.25, 0.5, 0.75, 1)
MIN_BIN_ANSWERS = 20  # a bin of fewer answers is a small dot that the line leaves out
STYLE_OF_KIND = {"baseline": "g6", "model": "g0", "ablation": "g4", "predictions": "g2"}
MEASURES = (("accuracy", "Accuracy"), ("uar", "Average recall (UAR)"), ("f1_macro", "Macro F1"))


def draw_scores(rows: Sequence[Mapping[str, Any]], description: str) -> str:
    """Accuracy, UAR and macro F1 of every model, with intervals; a line marks what the most frequent emotion alone gives."""
    height = 40 + ROW_HEIGHT_PX * len(rows)
    parts = []
    first = rows[0]["recognition"] if rows and rows[0]["name"] == "majority" else None
    for (left, right), (name, title) in zip(PANELS_PX, MEASURES, strict=True):
        parts.append(draw_text((left + right) / 2, 12, title, "strong", "middle"))
        for tick in TICKS:
            x = scale_position(tick, left, right)
            parts += [draw_line("grid", x, 34, x, height - 4), draw_text(x, 28, f"{tick:g}", "axis", "middle")]
        if first and first[name]["value"] is not None:
            x = scale_position(first[name]["value"], left, right)
            parts.append(draw_line("level", x, 34, x, height - 4))
    for number, row in enumerate(rows):
        y = 40 + ROW_HEIGHT_PX * (number + 0.5)
        parts.append(draw_text(0, y + 4, shorten(row["name"], 38)))
        for (left, right), (name, title) in zip(PANELS_PX, MEASURES, strict=True):
            parts += _draw_figure(row["recognition"][name], STYLE_OF_KIND[row["kind"]], y, left, right, f"{row['name']}, {title}")
    return draw_svg(height, description, parts)


def _draw_figure(figure: Mapping[str, Any], style: str, y: float, left: float, right: float, name: str) -> list[str]:
    if figure["value"] is None:
        return [draw_text(left + 4, y + 4, "–", "axis")]
    title = f"{name}: {figure['value']:.2f}"
    parts = []
    if figure["low"] is not None:
        low, high = (scale_position(figure[end], left, right) for end in ("low", "high"))
        parts.append(draw_line(f"bar {style}", low, y, high, y))
        title += f" ({figure['low']:.2f} to {figure['high']:.2f})"
    return [*parts, draw_dot(style, scale_position(figure["value"], left, right), y, title)]


def draw_findings(
    findings: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], description: str, feared: bool
) -> str:
    """Each figure of a check with its interval, over the band of 90 % of the permutations.

    others  figures that do not count for the verdict
    feared  whether the check hopes to find nothing: colours what it found
    """
    significant = "g1" if feared else "g3"
    rows = [(f, significant if f["seen"] else "s0") for f in findings] + [(f, "g6") for f in others]
    values = [v for f, _ in rows for v in (f["value"], f["low"], f["high"], *f["null"]) if v is not None]
    low, high = min([0.0, *values]), 1.0 if max(values) > 0.5 else 0.5
    left, right, height = 270.0, 700.0, 34 + ROW_HEIGHT_PX * len(rows)
    low = 0.0 if low > -0.02 else -0.25 if low > -0.25 else -1.0
    parts = []
    for tick in (t / 4 for t in range(-4, 5)):
        if low <= tick <= high:
            x = scale_position(tick, left, right, low, high)
            parts += [draw_line("grid", x, 26, x, height - 2), draw_text(x, 18, f"{tick:g}", "axis", "middle")]
    parts.append(draw_text(730, 18, "effect", "axis"))
    parts.append(draw_text(815, 18, "p", "axis"))
    for number, (f, style) in enumerate(rows):
        y = 30 + ROW_HEIGHT_PX * (number + 0.5)
        a, b = (scale_position(f["null"][k], left, right, low, high) for k in (0, 2))
        parts += [
            draw_text(0, y + 4, shorten(f["name"], 38)),
            draw_box("null", a, y - 8, max(b - a, 1.5), 16, f"by chance {f['null'][0]:.2f} to {f['null'][2]:.2f}"),
        ]
        if f["low"] is not None:
            a, b = (scale_position(f[end], left, right, low, high) for end in ("low", "high"))
            parts.append(draw_line(f"bar {style}", a, y, b, y))
        title = f"{f['name']}: {f['value']:.2f}, by chance {f['chance']:.2f}"
        parts.append(draw_dot(style, scale_position(f["value"], left, right, low, high), y, title))
        parts += [draw_text(730, y + 4, f"{round(f['effect'], 2) + 0.0:+.2f}"), draw_text(815, y + 4, f"{f['p']:.3f}")]
    return draw_svg(height, description, parts)


def draw_confusion(table: Mapping[str, Any], description: str) -> str:
    """Confusion matrix. Rows: the emotion that people gave; columns: the model's answer. Unused labels are left out."""
    counts, names = table["counts"], table["rows"]
    kept = [k for k in range(len(names)) if sum(counts[k]) or any(row[k] for row in counts)]
    columns = [*kept, len(names)] if any(row[len(names)] for row in counts) else kept
    cell, left, top = min(52.0, 560 / max(len(columns), 1)), 150.0, 96.0
    parts = []
    for number, k in enumerate(columns):
        x = left + cell * (number + 0.5)
        rotation = f' transform="rotate(-50 {x:.1f} {top - 8:.1f})"'
        parts.append(draw_text(x, top - 8, shorten(table["columns"][k], 20), "axis", attributes=rotation))
    rows = [k for k in kept if sum(counts[k])]
    for r, k in enumerate(rows):
        y, total = top + cell * r, sum(counts[k])
        parts.append(draw_text(left - 8, y + cell / 2 + 4, shorten(names[k], 22), "axis", "end"))
        for c, j in enumerate(columns):
            x, share = left + cell * c, counts[k][j] / total
            parts.append(draw_box("cell", x, y, cell - 1, cell - 1))
            if counts[k][j]:
                style = "h0" if j == k else "h2" if j == len(names) else "h1"
                title = f"{names[k]} / {table['columns'][j]}: {counts[k][j]} of {total}"
                parts.append(draw_box(style, x, y, cell - 1, cell - 1, title, f' fill-opacity="{cell_opacity(share)}"'))
                if cell >= 22:
                    parts.append(draw_text(x + (cell - 1) / 2, y + cell / 2 + 4, f"{100 * share:.0f}", "ink", "middle"))
    return draw_svg(top + cell * len(rows) + 4, description, parts)


def draw_calibration(lines: Sequence[Mapping[str, Any]], description: str) -> str:
    """Calibration: how often answers are right, by the probability the model gives them. Perfect calibration is the diagonal."""
    left, right, top, bottom = 60.0, 360.0, 14.0, 254.0
    parts = [draw_line("level", left, bottom, right, top)]
    for tick in TICKS:
        x, y = scale_position(tick, left, right), bottom - (bottom - top) * tick
        parts += [
            draw_line("grid", left, y, right, y), draw_line("grid", x, top, x, bottom),
            draw_text(left - 8, y + 4, f"{tick:g}", "axis", "end"), draw_text(x, bottom + 18, f"{tick:g}", "axis", "middle"),
        ]  # fmt: skip
    parts.append(draw_text((left + right) / 2, bottom + 38, "how sure: probability of the answer", "axis", "middle"))
    parts.append(draw_text(right + 40, top + 10, "right, of answers that are so sure", "axis"))
    for number, row in enumerate(lines):
        style = f"g{(0, 1, 3, 2, 5)[number % 5]}"
        bins = row["recognition"]["calibration"]["bins"]
        points = [(scale_position(b["sure"], left, right), bottom - (bottom - top) * b["right"], b) for b in bins]
        points_of_line = " ".join(f"{x:.1f},{y:.1f}" for x, y, b in points if b["answers"] >= MIN_BIN_ANSWERS)
        parts.append(f'<polyline class="curve {style}" points="{points_of_line}"/>')
        for x, y, b in points:
            title = f"{row['name']}: {b['answers']} answers, sure {b['sure']:.2f}, right {b['right']:.2f}"
            parts.append(draw_dot(style, x, y, title, 4 if b["answers"] >= MIN_BIN_ANSWERS else 2))
        y = top + 40 + 24 * number
        error = row["recognition"]["calibration"]["ece"]
        chance = f"; {error['by_chance']:.2f} if perfect" if error["by_chance"] is not None else ""
        parts += [
            draw_line(f"curve {style}", right + 40, y - 4, right + 68, y - 4),
            draw_text(right + 76, y, f"{shorten(row['name'], 34)}: error {error['value']:.2f}{chance}"),
        ]
    return draw_svg(bottom + 46, description, parts)


def draw_learning_curve(points: Sequence[Mapping[str, Any]], description: str) -> str:
    """Learning curve: average recall by the number of people in the training data, over the band of shuffled labels."""
    left, right, top, bottom = 60.0, 640.0, 14.0, 254.0
    step = (right - left) / max(len(points) - 1, 1)
    xs = [left + step * k for k in range(len(points))]

    def y(value: float) -> float:
        return bottom - (bottom - top) * min(max(value, 0), 1)

    parts = []
    for tick in TICKS:
        parts += [draw_line("grid", left, y(tick), right, y(tick)), draw_text(left - 8, y(tick) + 4, f"{tick:g}", "axis", "end")]
    band = [
        *((x, p["null"][1]) for x, p in zip(xs, points, strict=True)),
        *((x, p["null"][0]) for x, p in zip(xs[::-1], points[::-1], strict=True)),
    ]
    parts.append(f'<polygon class="null" points="{" ".join(f"{x:.1f},{y(v):.1f}" for x, v in band)}"/>')
    points_of_line = " ".join(f"{x:.1f},{y(p['value']):.1f}" for x, p in zip(xs, points, strict=True))
    parts.append(f'<polyline class="curve g0" points="{points_of_line}"/>')
    for x, p in zip(xs, points, strict=True):
        if p["low"] is not None:
            parts.append(draw_line("bar g0", x, y(p["low"]), x, y(p["high"])))
        parts.append(draw_dot("g0", x, y(p["value"]), f"{p['subjects']} people: {p['value']:.2f}"))
        parts.append(draw_text(x, bottom + 18, str(p["subjects"]), "axis", "middle"))
    parts.append(draw_text((left + right) / 2, bottom + 38, "people learned from", "axis", "middle"))
    parts += [
        draw_line("curve g0", 670, 40, 698, 40), draw_text(706, 44, "average recall"),
        draw_box("null", 670, 58, 28, 14), draw_text(706, 69, "with shuffled labels"),
    ]  # fmt: skip
    return draw_svg(bottom + 46, description, parts)


def draw_feature_strips(values_by_emotion: Mapping[str, Sequence[float]], unit: str, description: str) -> str:
    """The values of one feature: a row for each emotion, a dot for each clip."""
    left, right = 150.0, 860.0
    values = [v for row in values_by_emotion.values() for v in row]
    low, high = min(values), max(values)
    parts = []
    for tick in range(5):
        value = low + (high - low) * tick / 4
        x = scale_position(value, left, right, low, high or 1) if high > low else left
        parts += [
            draw_line("grid", x, 24, x, 30 + 26 * len(values_by_emotion)),
            draw_text(x, 16, f"{value:{'.0f' if high >= 100 else '.3g'}} {unit}", "axis", "middle"),
        ]
    for number, (name, row) in enumerate(values_by_emotion.items()):
        y = 30 + 26 * (number + 0.5)
        parts.append(draw_text(left - 12, y + 4, shorten(name, 20), "axis", "end"))
        for k, value in enumerate(row):
            x = scale_position(value, left, right, low, high) if high > low else left
            parts.append(draw_dot("g1 faint", x, y + (k * 7 % 13) - 6, radius=2.6))
    return draw_svg(36 + 26 * len(values_by_emotion), description, parts)
