"""SVG primitives that all plots share: text, lines, boxes, and the timeline of one clip.

Each function returns a piece of SVG as text; `draw_svg` puts pieces together. Colours are CSS classes of page.css, so that a page
can be printed and read in the dark. All text is escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH_PX = 900
ROW_HEIGHT_PX = 20  # of a row in a plot of dots
LABEL_WIDTH_PX = 322  # for names, left of a plot
MAX_COLOURS = 8  # of groups; a ninth group has the colour of the first
LETTER_WIDTH_PX = 6.1  # about, in a text of 11 px


def colour_class(group: str, groups: Sequence[str]) -> str:
    """The CSS class of the colour of a group."""
    return f"g{groups.index(group) % MAX_COLOURS}" if group in groups else "g0"


def draw_svg(height: float, description: str, parts: Sequence[str]) -> str:
    """A whole picture of WIDTH_PX; `description` is read aloud to people who do not see it."""
    return f'<svg viewBox="0 0 {WIDTH_PX} {height:.0f}" role="img" aria-label="{escape(description)}">{"".join(parts)}</svg>'


def draw_text(x: float, y: float, words: str, style: str = "", anchor: str = "start", attributes: str = "") -> str:
    """Text with its baseline at y. `style` is a CSS class, `anchor` says which end is at x, `attributes` are further ones."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attributes}>{escape(words)}</text>'


def draw_line(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A line between two points."""
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def draw_box(style: str, x: float, y: float, width: float, height: float, title: str = "", attributes: str = "") -> str:
    """A rectangle; `title` is shown when the pointer rests on it."""
    hint = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{attributes}>{hint}</rect>'


def draw_dot(style: str, x: float, y: float, title: str = "", radius: float = 4.2) -> str:
    """A filled circle; `title` is shown when the pointer rests on it."""
    circle = f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    return f"{circle}><title>{escape(title)}</title></circle>" if title else f"{circle}/>"


def shorten(words: str, max_letters: int) -> str:
    """Text of at most `max_letters`; a longer one ends in an ellipsis."""
    return words if len(words) <= max_letters else words[: max_letters - 1].rstrip() + "…"


def describe_figure(figure: Mapping[str, Any]) -> str:
    """A figure in words: 0.62 (0.58 to 0.66), 120 events; or the reason why there is none."""
    if figure["value"] is None:
        return str(figure["why"])
    words = f"{figure['value']:.2f}"
    if figure["low"] is not None:
        words += f" ({figure['low']:.2f} to {figure['high']:.2f})"
    return words + f", {figure['n']} {figure['unit']}"


def scale_position(value: float, left: float, right: float, low: float = 0, high: float = 1) -> float:
    """The x of a value on an axis from `left` (`low`) to `right` (`high`); values outside lie at its ends."""
    return left + (right - left) * (min(max(value, low), high) - low) / (high - low)


def cell_opacity(share: float) -> str:
    """The opacity of a cell for a share of 0 to 1. Text on it stays readable, in black and in white."""
    return f"{0.06 + 0.5 * share:.2f}"


def draw_timeline(clip: Mapping[str, Any], groups: Sequence[str]) -> str:
    """The events of one clip over time: a band for each annotator, then the adjudicated version and the proposals.

    clip  an entry of `disputed` in agreement.json; a version may say in "when_empty" what a band without events means
    """
    bands = [(v["name"], v["events"], "", v.get("when_empty", "nothing")) for v in clip["versions"]]
    bands += [("adjudicated", clip["adjudicated"], "", "nothing")] if clip["adjudicated"] is not None else []
    bands += [("proposals", clip["proposals"], " draft", "nothing")] if clip["proposals"] is not None else []
    left, right, y = 130.0, WIDTH_PX - 6.0, 4.0
    wide = (right - left) / max(clip["duration_ms"], 1)
    parts: list[str] = []
    for name, events, style, when_empty in bands:
        lanes = assign_lanes(events)
        deep = 19.0 * max(len(set(lanes)), 1)
        parts += [draw_box("band", left, y, right - left, deep + 3), draw_text(left - 8, y + 15, name, "axis", "end")]
        if not events:
            parts.append(draw_text(left + 6, y + 15, when_empty, "axis"))
        for event, lane in zip(events, lanes, strict=True):
            x, length = left + event["start_ms"] * wide, max((event["end_ms"] - event["start_ms"]) * wide, 2)
            sure = f", {event['certainty']}" if event["certainty"] else ""
            title = f"{event['label']}, {event['start_ms'] / 1000:.2f} to {event['end_ms'] / 1000:.2f} s{sure}"
            parts.append(
                draw_box(
                    f"{colour_class(event['group'], groups)}{style}", x, y + 2 + 19 * lane, length - 0.5, 17, title, ' rx="2"'
                )
            )
            if (letters := int((length - 6) / LETTER_WIDTH_PX)) >= 3:
                parts.append(
                    draw_text(x + 4, y + 14 + 19 * lane, shorten(event["label"], letters), "ink" if style else "on small")
                )
        y += deep + 8
    seconds = clip["duration_ms"] / 1000
    step = next((s for s in (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600) if seconds / s <= 12), 1200)
    for k in range(int(seconds / step) + 1):
        x = left + k * step * 1000 * wide
        parts += [
            draw_line("grid", x, y - 3, x, y + 3),
            draw_text(min(x, right - 12), y + 16, f"{k * step:g} s", "axis", "middle"),
        ]
    words = f"Clip {clip['clip']}: events of {', '.join(name for name, *_ in bands)} over {seconds:.1f} seconds"
    return draw_svg(y + 22, words, parts)


def assign_lanes(events: Sequence[Mapping[str, Any]]) -> list[int]:
    """The lane of each event, so that no two events of a lane overlap."""
    free: list[float] = []
    lanes = [0] * len(events)
    for number in sorted(range(len(events)), key=lambda n: (events[n]["start_ms"], events[n]["end_ms"])):
        event = events[number]
        lane = next((k for k, end in enumerate(free) if end <= event["start_ms"]), len(free))
        free[lane : lane + 1] = [event["end_ms"]]
        lanes[number] = lane
    return lanes
