"""The best proposals of a clip."""

from __future__ import annotations

from deemo_data.stages.gestures.scene import Scene, shots
from deemo_data.stages.gestures.signals import RULES, Proposal, described, settled, stretches
from deemo_data.stages.gestures.thresholds import Thresholds


def propose(scene: Scene, how: Thresholds) -> list[Proposal]:
    """What is proposed for one clip, by time: the best `most`, none below `least_score`, no two for one stretch of the hands."""
    from deemo_data.stages.gestures.rules import signals

    least, bridge = scene.frames(how.least_ms), scene.frames(how.bridge_ms)
    found = []
    for start, end in shots(scene):
        holding = [h for signal in signals(scene.part(start, end), how) for h in stretches(signal, least, bridge, how.slack)]
        counting = [one for one in holding if described(one, scene.fps, start).score >= how.least_score]
        found += [described(one, scene.fps, start) for one in settled(counting, least)]
    found = [p for p in found if p.score >= how.least_score]  # a piece may be weaker than the whole
    best = sorted(found, key=lambda p: (-p.score, p.start, RULES.index(p.rule)))[: how.most]
    return sorted(best, key=lambda p: (p.start, p.end, RULES.index(p.rule)))
