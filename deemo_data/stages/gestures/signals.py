"""What a rule measures over time, and the intervals in which it holds.

In:  a `Signal` from one of the rules (rules.py, touch_rules.py): one amount per frame and a threshold.
Out: `Interval`s in which the signal holds, freed of conflicts, and from them `Proposal`s with a score and a sentence.

A signal holds with hysteresis: it begins at the threshold and ends a little short of it, so noise does not cut it into pieces.
select.py runs these steps for a whole clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RULES = (  # by precedence: where two rules of the hands hold at once, the earlier one gets the interval
    "hand_over_face", "hand_on_eyes", "hand_on_ear", "hand_on_forehead", "hand_on_jaw", "hand_on_face", "hand_in_hair",
    "hand_on_head", "hand_on_notch", "hand_on_neck", "minaret", "fingers_crossed", "arms_folded", "arms_akimbo", "arms_behind",
    "hands_held", "hand_busy", "hand_gesture",
    "shoulders_raised", "torso_moved", "head_up", "sits_up",
)  # fmt: skip
TRUNK_RULES = ("shoulders_raised", "torso_moved", "head_up", "sits_up")  # may hold at the same time as a rule of the hands


@dataclass(frozen=True)
class Signal:
    """How far a rule holds, frame by frame.

    needs                points of the body that the amount is measured by; where one of them is not seen, nothing is proposed
    amount               (frames,) the measured amount, in the unit of `threshold`; NaN where it could not be measured
    threshold            the rule holds from here on: downwards if `below`, otherwise upwards
    why                  a sentence with the fields {amount} (the median while the rule holds) and {seconds}
    trust                0 to 1: how well the geometry, where it is present, indicates the class
    min_duration_factor  the rule has to hold for this many times `least_ms`
    max_gap_factor       a gap of up to this many times `bridge_ms` does not end an interval
    """

    rule: str
    needs: tuple[int, ...]
    amount: NDArray[np.float64]
    threshold: float
    why: str
    trust: float = 1.0
    below: bool = False
    min_duration_factor: float = 1.0
    max_gap_factor: float = 1.0

    def margin(self) -> NDArray[np.float64]:
        """(frames,) 0 at the threshold, negative where the rule does not hold.

        It reaches 1, its maximum, where the amount is 0 (if `below`) or twice the threshold.
        """
        import numpy as np

        past = 1 - self.amount / self.threshold if self.below else self.amount / self.threshold - 1
        return np.minimum(past, 1.0)


@dataclass(frozen=True)
class Interval:
    """Frames [start, end) in which a signal holds."""

    signal: Signal
    start: int
    end: int


@dataclass(frozen=True)
class Proposal:
    """Frames [start, end) of the clip that one rule proposes."""

    rule: str
    start: int
    end: int
    score: float
    threshold: float
    why: str

    def to_fact(self) -> dict[str, Any]:
        return {"rule": self.rule, "start_frame": self.start, "end_frame": self.end,
                "score": round(self.score, 3), "threshold": round(self.threshold, 3), "why": self.why}  # fmt: skip


def find_intervals(signal: Signal, min_frames: int, max_gap_frames: int, slack: float) -> Iterator[Interval]:
    """Intervals in which a signal holds for at least `min_frames`, times the signal's own factor.

    An interval begins at the threshold and ends where the margin falls below `-slack`, so an amount that trembles at the
    threshold gives one interval. Two intervals with a gap of at most `max_gap_frames` (times the signal's factor) are joined.
    """
    holds = apply_hysteresis(signal.margin(), slack)
    for start, end in find_runs(holds, round(max_gap_frames * signal.max_gap_factor)):
        if end - start >= min_frames * signal.min_duration_factor:
            yield Interval(signal, start, end)


def to_proposal(interval: Interval, fps: float, first_frame: int) -> Proposal:
    """The interval as a proposal in frames of the clip; the signal begins at the clip's frame `first_frame`.

    Its score is the share of frames past the threshold, times the trust in the rule, times 1/2 to 1 by the mean margin.
    """
    import numpy as np

    signal, start, end = interval.signal, interval.start, interval.end
    share, depth, past = measure_interval(interval)
    amount = f"{float(np.median(signal.amount[start:end][past])):.2f}" if past.any() else "?"
    why = signal.why.format(amount=amount, seconds=f"{(end - start) / fps:.1f}")
    score = share * signal.trust * (0.5 + 0.5 * depth)
    return Proposal(signal.rule, first_frame + start, first_frame + end, score, signal.threshold, why)


def measure_interval(interval: Interval) -> tuple[float, float, NDArray[np.bool_]]:
    """The share of the interval's frames past the threshold, their mean margin (0 to 1), and a mask of these frames."""
    margin = interval.signal.margin()[interval.start : interval.end]
    past = margin >= 0
    return float(past.mean()), float(margin[past].mean()) if past.any() else 0.0, past


def apply_hysteresis(margin: NDArray[np.float64], slack: float) -> NDArray[np.bool_]:
    """(frames,) True in every run with margin >= -slack that reaches 0 somewhere; a NaN ends a run."""
    import numpy as np

    holds = np.zeros(len(margin), bool)
    for start, end in find_runs(margin >= -slack, 0):
        holds[start:end] = (margin[start:end] >= 0).any()
    return holds


def find_runs(holds: NDArray[np.bool_], max_gap_frames: int) -> list[tuple[int, int]]:
    """The runs [start, end) of True; runs with at most `max_gap_frames` between them are one."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= max_gap_frames:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def resolve_conflicts(intervals: list[Interval], min_frames: int) -> list[Interval]:
    """Intervals of the hands that do not overlap: the rule that is earlier in RULES wins, then the larger margin.

    The losing interval keeps those of its remaining pieces that still last long enough. A rule of the trunk conflicts with
    itself only.
    """

    def rank(interval: Interval) -> tuple[int, float, int]:
        share, depth, _ = measure_interval(interval)
        return RULES.index(interval.signal.rule), -share * (1 + depth), interval.start

    winners: list[Interval] = []
    for interval in sorted(intervals, key=rank):
        rule = interval.signal.rule
        pieces = [interval]
        for winner in winners:
            if winner.signal.rule == rule or not (rule in TRUNK_RULES or winner.signal.rule in TRUNK_RULES):
                before = [(p.start, min(p.end, winner.start)) for p in pieces]
                after = [(max(p.start, winner.end), p.end) for p in pieces]
                pieces = [replace(interval, start=start, end=end) for start, end in before + after if start < end]
        winners += [p for p in pieces if p.end - p.start >= min_frames * p.signal.min_duration_factor]
    return winners
