"""The pictures of evaluation.html, as SVG: figures with intervals and what chance gives, confusion, calibration, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from deemo_data.reports.svg import box, ellipsis, line, shade, svg, text

ROW = 24  # px of a line
PANELS = ((270, 465), (490, 685), (705, 890))  # left and right, of three measures
TICKS = (0, 0.25, 0.5, 0.75, 1)
LITTLE = 20  # answers: a bin with fewer is a small dot, off the line
KINDS = {"baseline": "g6", "model": "g0", "ablation": "g4", "predictions": "g2"}
MEASURES = (("accuracy", "Accuracy"), ("uar", "Average recall (UAR)"), ("f1_macro", "Macro F1"))


def table(lines: Sequence[Mapping[str, Any]], words: str) -> str:
    """Accuracy, UAR and macro F1 of everything that was scored, with intervals; the stroke is the majority."""
    height = 40 + ROW * len(lines)
    parts = []
    first = lines[0]["recognition"] if lines and lines[0]["name"] == "majority" else None
    for (left, right), (name, title) in zip(PANELS, MEASURES, strict=True):
        parts.append(text((left + right) / 2, 12, title, "strong", "middle"))
        for tick in TICKS:
            x = _at(tick, left, right)
            parts += [line("grid", x, 34, x, height - 4), text(x, 28, f"{tick:g}", "axis", "middle")]
        if first and first[name]["value"] is not None:
            x = _at(first[name]["value"], left, right)
            parts.append(line("level", x, 34, x, height - 4))
    for number, row in enumerate(lines):
        y = 40 + ROW * (number + 0.5)
        parts.append(text(0, y + 4, ellipsis(row["name"], 38)))
        for (left, right), (name, title) in zip(PANELS, MEASURES, strict=True):
            parts += _dot(row["recognition"][name], KINDS[row["kind"]], y, left, right, f"{row['name']}, {title}")
    return svg(height, words, parts)


def _at(value: float, left: float, right: float, low: float = 0, high: float = 1) -> float:
    return left + (right - left) * (min(max(value, low), high) - low) / (high - low)


def _dot(figure: Mapping[str, Any], style: str, y: float, left: float, right: float, name: str) -> list[str]:
    if figure["value"] is None:
        return [text(left + 4, y + 4, "–", "axis")]
    title = f"{name}: {figure['value']:.2f}"
    parts = []
    if figure["low"] is not None:
        parts.append(line(f"bar {style}", _at(figure["low"], left, right), y, _at(figure["high"], left, right), y))
        title += f" ({figure['low']:.2f} to {figure['high']:.2f})"
    x = _at(figure["value"], left, right)
    return [*parts, f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4.2"><title>{escape(title)}</title></circle>']


def findings(found: Sequence[Mapping[str, Any]], beside: Sequence[Mapping[str, Any]], words: str, feared: bool) -> str:
    """Each figure of a check with its interval, over the band that 90 % of the permutations fall into."""
    seen = "g1" if feared else "g3"
    rows = [(f, seen if f["seen"] else "s0") for f in found] + [(f, "g6") for f in beside]
    values = [v for f, _ in rows for v in (f["value"], f["low"], f["high"], *f["null"]) if v is not None]
    low, high = min([0.0, *values]), 1.0 if max(values) > 0.5 else 0.5
    left, right, height = 270.0, 700.0, 34 + ROW * len(rows)
    low = 0.0 if low > -0.02 else -0.25 if low > -0.25 else -1.0
    parts = []
    for tick in (t / 4 for t in range(-4, 5)):
        if low <= tick <= high:
            x = _at(tick, left, right, low, high)
            parts += [line("grid", x, 26, x, height - 2), text(x, 18, f"{tick:g}", "axis", "middle")]
    parts.append(text(730, 18, "effect", "axis"))
    parts.append(text(815, 18, "p", "axis"))
    for number, (f, style) in enumerate(rows):
        y = 30 + ROW * (number + 0.5)
        a, b = (_at(f["null"][k], left, right, low, high) for k in (0, 2))
        parts += [
            text(0, y + 4, ellipsis(f["name"], 38)),
            box("null", a, y - 8, max(b - a, 1.5), 16, f"by chance {f['null'][0]:.2f} to {f['null'][2]:.2f}"),
        ]
        if f["low"] is not None:
            parts.append(
                line(f"bar {style}", _at(f["low"], left, right, low, high), y, _at(f["high"], left, right, low, high), y)
            )
        x = _at(f["value"], left, right, low, high)
        title = escape(f"{f['name']}: {f['value']:.2f}, by chance {f['chance']:.2f}")
        parts.append(f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4.2"><title>{title}</title></circle>')
        parts += [text(730, y + 4, f"{round(f['effect'], 2) + 0.0:+.2f}"), text(815, y + 4, f"{f['p']:.3f}")]
    return svg(height, words, parts)


def confusion(told: Mapping[str, Any], words: str) -> str:
    """Rows: what people said. Columns: what was answered. Labels that occur in neither are left out."""
    counts, names = told["counts"], told["rows"]
    kept = [k for k in range(len(names)) if sum(counts[k]) or any(row[k] for row in counts)]
    columns = [*kept, len(names)] if any(row[len(names)] for row in counts) else kept
    cell, left, top = min(52.0, 560 / max(len(columns), 1)), 150.0, 96.0
    parts = []
    for number, k in enumerate(columns):
        x = left + cell * (number + 0.5)
        turned = f' transform="rotate(-50 {x:.1f} {top - 8:.1f})"'
        parts.append(text(x, top - 8, ellipsis(told["columns"][k], 20), "axis", more=turned))
    rows = [k for k in kept if sum(counts[k])]
    for r, k in enumerate(rows):
        y, total = top + cell * r, sum(counts[k])
        parts.append(text(left - 8, y + cell / 2 + 4, ellipsis(names[k], 22), "axis", "end"))
        for c, j in enumerate(columns):
            x, share = left + cell * c, counts[k][j] / total
            parts.append(box("cell", x, y, cell - 1, cell - 1))
            if counts[k][j]:
                style = "h0" if j == k else "h2" if j == len(names) else "h1"
                title = f"{names[k]} / {told['columns'][j]}: {counts[k][j]} of {total}"
                parts.append(box(style, x, y, cell - 1, cell - 1, title, f' fill-opacity="{shade(share)}"'))
                if cell >= 22:
                    parts.append(text(x + (cell - 1) / 2, y + cell / 2 + 4, f"{100 * share:.0f}", "ink", "middle"))
    return svg(top + cell * len(rows) + 4, words, parts)


def calibration(lines: Sequence[Mapping[str, Any]], words: str) -> str:
    """How often answers are right, by how sure they say they are; the diagonal is right."""
    left, right, top, bottom = 60.0, 360.0, 14.0, 254.0
    parts = [line("level", left, bottom, right, top)]
    for tick in TICKS:
        x, y = _at(tick, left, right), bottom - (bottom - top) * tick
        parts += [
            line("grid", left, y, right, y), line("grid", x, top, x, bottom),
            text(left - 8, y + 4, f"{tick:g}", "axis", "end"), text(x, bottom + 18, f"{tick:g}", "axis", "middle"),
        ]  # fmt: skip
    parts.append(text((left + right) / 2, bottom + 38, "how sure: probability of the answer", "axis", "middle"))
    parts.append(text(right + 40, top + 10, "right, of answers that are so sure", "axis"))
    for number, row in enumerate(lines):
        style = f"g{(0, 1, 3, 2, 5)[number % 5]}"
        bins = row["recognition"]["calibration"]["bins"]
        points = [(_at(b["sure"], left, right), bottom - (bottom - top) * b["right"], b) for b in bins]
        course = " ".join(f"{x:.1f},{y:.1f}" for x, y, b in points if b["answers"] >= LITTLE)
        parts.append(f'<polyline class="curve {style}" points="{course}"/>')
        for x, y, b in points:
            title = escape(f"{row['name']}: {b['answers']} answers, sure {b['sure']:.2f}, right {b['right']:.2f}")
            size = 4 if b["answers"] >= LITTLE else 2
            parts.append(f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"><title>{title}</title></circle>')
        y = top + 40 + 24 * number
        error = row["recognition"]["calibration"]["ece"]
        chance = f"; {error['by_chance']:.2f} if perfect" if error["by_chance"] is not None else ""
        parts += [
            line(f"curve {style}", right + 40, y - 4, right + 68, y - 4),
            text(right + 76, y, f"{ellipsis(row['name'], 34)}: error {error['value']:.2f}{chance}"),
        ]
    return svg(bottom + 46, words, parts)


def curve(points: Sequence[Mapping[str, Any]], words: str) -> str:
    """Average recall by number of people learned from, over the band of shuffled labels."""
    left, right, top, bottom = 60.0, 640.0, 14.0, 254.0
    step = (right - left) / max(len(points) - 1, 1)
    xs = [left + step * k for k in range(len(points))]

    def y(value: float) -> float:
        return bottom - (bottom - top) * min(max(value, 0), 1)

    parts = []
    for tick in TICKS:
        parts += [line("grid", left, y(tick), right, y(tick)), text(left - 8, y(tick) + 4, f"{tick:g}", "axis", "end")]
    band = [
        *((x, p["null"][1]) for x, p in zip(xs, points, strict=True)),
        *((x, p["null"][0]) for x, p in zip(xs[::-1], points[::-1], strict=True)),
    ]
    parts.append(f'<polygon class="null" points="{" ".join(f"{x:.1f},{y(v):.1f}" for x, v in band)}"/>')
    course = " ".join(f"{x:.1f},{y(p['value']):.1f}" for x, p in zip(xs, points, strict=True))
    parts.append(f'<polyline class="curve g0" points="{course}"/>')
    for x, p in zip(xs, points, strict=True):
        if p["low"] is not None:
            parts.append(line("bar g0", x, y(p["low"]), x, y(p["high"])))
        title = f"{p['subjects']} people: {p['value']:.2f}"
        at = y(p["value"])
        parts.append(f'<circle class="g0" cx="{x:.1f}" cy="{at:.1f}" r="4.2"><title>{title}</title></circle>')
        parts.append(text(x, bottom + 18, str(p["subjects"]), "axis", "middle"))
    parts.append(text((left + right) / 2, bottom + 38, "people learned from", "axis", "middle"))
    parts += [
        line("curve g0", 670, 40, 698, 40), text(706, 44, "average recall"),
        box("null", 670, 58, 28, 14), text(706, 69, "with shuffled labels"),
    ]  # fmt: skip
    return svg(bottom + 46, words, parts)


def strips(drawn: Mapping[str, Sequence[float]], unit: str, words: str) -> str:
    """A dot for each clip at its value, a row for each emotion."""
    left, right = 150.0, 860.0
    values = [v for row in drawn.values() for v in row]
    low, high = min(values), max(values)
    parts = []
    for tick in range(5):
        value = low + (high - low) * tick / 4
        x = _at(value, left, right, low, high or 1) if high > low else left
        parts += [
            line("grid", x, 24, x, 30 + 26 * len(drawn)),
            text(x, 16, f"{value:{'.0f' if high >= 100 else '.3g'}} {unit}", "axis", "middle"),
        ]
    for number, (name, row) in enumerate(drawn.items()):
        y = 30 + 26 * (number + 0.5)
        parts.append(text(left - 12, y + 4, ellipsis(name, 20), "axis", "end"))
        for k, value in enumerate(row):
            x = _at(value, left, right, low, high) if high > low else left
            parts.append(f'<circle class="g1 faint" cx="{x:.1f}" cy="{y + (k * 7 % 13) - 6:.1f}" r="2.6"/>')
    return svg(36 + 26 * len(drawn), words, parts)
