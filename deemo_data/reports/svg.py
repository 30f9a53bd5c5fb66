"""SVG primitives that all plots share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH = 900
ROW = 20  # px of a line in a plot of dots
LABELS = 322  # px for names, left of a plot
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


def ellipsis(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: letters - 1].rstrip() + "…"


def said(figure: Mapping[str, Any]) -> str:
    """A figure in words, for whoever points at it."""
    if figure["value"] is None:
        return str(figure["why"])
    told = f"{figure['value']:.2f}"
    if figure["low"] is not None:
        told += f" ({figure['low']:.2f} to {figure['high']:.2f})"
    return told + f", {figure['n']} {figure['unit']}"


def point_at(value: float, left: float, right: float, low: float, high: float) -> float:
    return left + (right - left) * (min(max(value, low), high) - low) / (high - low)


def shade(share: float) -> str:
    """How strong the colour of a cell is: never so strong that black or white letters on it cannot be read."""
    return f"{0.06 + 0.5 * share:.2f}"


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
                parts.append(text(x + 4, y + 14 + 19 * lane, ellipsis(event["label"], letters), "ink" if style else "on small"))
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
