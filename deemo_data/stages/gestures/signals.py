"""A rule over time: threshold, stretches, score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RULES = (  # in this order one stretch of the hands goes to the first that wants it
    "hand_over_face", "hand_on_eyes", "hand_on_ear", "hand_on_forehead", "hand_on_jaw", "hand_on_face", "hand_in_hair",
    "hand_on_head", "hand_on_notch", "hand_on_neck", "minaret", "fingers_crossed", "arms_folded", "arms_akimbo", "arms_behind",
    "hands_held", "hand_busy", "hand_gesture",
    "shoulders_raised", "torso_moved", "head_up", "sits_up",
)  # fmt: skip
OF_TRUNK = ("shoulders_raised", "torso_moved", "head_up", "sits_up")  # these may go on beside what the hands do


@dataclass(frozen=True)
class Signal:
    """How far a rule holds, frame by frame.

    amount     (frames,) what was measured, in the unit of `threshold`; NaN where it could not be
    threshold  it holds from here on: downwards where `below`, else upwards
    why        one sentence, with {amount} (the median while it holds) and {seconds} to be filled in
    trust      0 to 1: how far the geometry, if it is there, speaks for the class
    least      how many times `least_ms` it has to last; bridge: how many times `bridge_ms` it may be gone
    """

    rule: str
    amount: NDArray[np.float64]
    threshold: float
    why: str
    trust: float = 1.0
    below: bool = False
    least: float = 1.0
    bridge: float = 1.0

    def margin(self) -> NDArray[np.float64]:
        """(frames,) 0 at the threshold, up to 1 at nothing (where `below`) or at twice as much; below 0 it does not hold."""
        import numpy as np

        past = 1 - self.amount / self.threshold if self.below else self.amount / self.threshold - 1
        return np.minimum(past, 1.0)


@dataclass(frozen=True)
class Stretch:
    """Frames [start, end) in which a signal holds."""

    signal: Signal
    start: int
    end: int


@dataclass(frozen=True)
class Proposal:
    """Frames [start, end) of the clip that one rule suggests."""

    rule: str
    start: int
    end: int
    score: float
    threshold: float
    why: str

    def to_fact(self) -> dict[str, Any]:
        return {"rule": self.rule, "start_frame": self.start, "end_frame": self.end,
                "score": round(self.score, 3), "threshold": round(self.threshold, 3), "why": self.why}  # fmt: skip


def stretches(signal: Signal, least: int, bridge: int, slack: float) -> Iterator[Stretch]:
    """Where a signal holds for at least `least` frames, times its own.

    It begins past the threshold and ends `slack` of it short of it, so that what trembles at the threshold is one stretch;
    so are two with no more than `bridge` frames between them.
    """
    for start, end in runs(held(signal.margin(), slack), round(bridge * signal.bridge)):
        if end - start >= least * signal.least:
            yield Stretch(signal, start, end)


def described(one: Stretch, fps: float, first: int) -> Proposal:
    """The stretch as a proposal, in frames of the clip; `first` is the clip's frame in which the signal begins."""
    import numpy as np

    share, depth, past = measured(one)
    amount = f"{float(np.median(one.signal.amount[one.start : one.end][past])):.2f}" if past.any() else "?"
    why = one.signal.why.format(amount=amount, seconds=f"{(one.end - one.start) / fps:.1f}")
    score = share * one.signal.trust * (0.5 + 0.5 * depth)
    return Proposal(one.signal.rule, first + one.start, first + one.end, score, one.signal.threshold, why)


def measured(one: Stretch) -> tuple[float, float, NDArray[np.bool_]]:
    """The share of its frames past the threshold, how far past they lie in the mean (0 to 1), and which they are.

    The score of a proposal is that share, times the trust in the rule, times 1/2 to 1 by how far past it is.
    """
    margin = one.signal.margin()[one.start : one.end]
    past = margin >= 0
    return float(past.mean()), float(margin[past].mean()) if past.any() else 0.0, past


def held(margin: NDArray[np.float64], slack: float) -> NDArray[np.bool_]:
    """(frames,): from where the margin reaches 0 back and forth to where it falls below -slack, or is unknown."""
    import numpy as np

    loose = margin >= -slack
    found = np.zeros(len(margin), bool)
    for start, end in runs(loose, 0):
        found[start:end] = (margin[start:end] >= 0).any()
    return found


def runs(holds: NDArray[np.bool_], bridge: int) -> list[tuple[int, int]]:
    """The stretches [start, end) of True, those with at most `bridge` frames between them as one."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    found: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if found and start - found[-1][1] <= bridge:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def settled(found: list[Stretch], least: int) -> list[Stretch]:
    """One stretch of the hands for one rule: the first in RULES that wants it, then the one further past its threshold.

    What comes later keeps the pieces that are left of it and last long enough; rules of the trunk give way to themselves only.
    """

    def rank(one: Stretch) -> tuple[int, float, int]:
        share, depth, _ = measured(one)
        return RULES.index(one.signal.rule), -share * (1 + depth), one.start

    kept: list[Stretch] = []
    for one in sorted(found, key=rank):
        trunk = one.signal.rule in OF_TRUNK
        pieces = [one]
        for other in kept:
            if other.signal.rule == one.signal.rule or not (trunk or other.signal.rule in OF_TRUNK):
                ends = [(p.start, min(p.end, other.start)) for p in pieces] + [(max(p.start, other.end), p.end) for p in pieces]
                pieces = [replace(one, start=start, end=end) for start, end in ends if start < end]
        kept += [p for p in pieces if p.end - p.start >= least * p.signal.least]
    return kept
