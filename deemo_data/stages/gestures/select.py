"""The best proposals of one clip: from a scene to a short list of `Proposal`.

The entry point of this package. It splits the scene at cuts, lets every rule of `rules` measure its signal on each part, finds
the intervals in which a signal holds (`signals`), resolves conflicts between rules and keeps the best.
"""

from __future__ import annotations

from deemo_data.stages.gestures.rules import measure_signals
from deemo_data.stages.gestures.scene import Scene, split_at_jumps
from deemo_data.stages.gestures.signals import RULES, Proposal, find_intervals, resolve_conflicts, to_proposal
from deemo_data.stages.gestures.thresholds import Thresholds


def select_proposals(scene: Scene, thresholds: Thresholds) -> list[Proposal]:
    """The proposals for one clip, by time: at most `most`, none below `least_score`, one at a time for the hands."""
    min_frames, max_gap_frames = scene.frames_of_ms(thresholds.least_ms), scene.frames_of_ms(thresholds.bridge_ms)
    proposals = []
    for start, end in split_at_jumps(scene):
        intervals = [
            interval
            for signal in measure_signals(scene.slice_frames(start, end), thresholds)
            for interval in find_intervals(signal, min_frames, max_gap_frames, thresholds.slack)
        ]
        strong = [i for i in intervals if to_proposal(i, scene.fps, start).score >= thresholds.least_score]
        proposals += [to_proposal(i, scene.fps, start) for i in resolve_conflicts(strong, min_frames)]
    proposals = [p for p in proposals if p.score >= thresholds.least_score]  # a piece may be weaker than the whole interval
    best = sorted(proposals, key=lambda p: (-p.score, p.start, RULES.index(p.rule)))[: thresholds.most]
    return sorted(best, key=lambda p: (p.start, p.end, RULES.index(p.rule)))
