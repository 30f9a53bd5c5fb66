"""Makers that tests of several packages share; taken from agreement/test_measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from deemo_data.agreement import measure as agreement_measure
from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.labels.label import Label, PushRecord
from deemo_data.labels.vocabulary import Nfbl, load_emotions, load_nfbl

NFBL = load_nfbl("nfbl")
EMOTIONS = load_emotions("emotions")
GRID = Grid(Fraction(25), False, Fraction(0), 10_000_000, 64, 36)

Said = tuple[int, int, str]  # [start, end) in frames of the clip, class


def clip_of(number: int, frames: int = 250, subject: str = "", grid: Grid = GRID) -> Clip:
    """A released clip: frames [1000 n, 1000 n + frames) of its source."""
    facts = {"grid": grid.to_fact(), "subject": subject or f"s-{number}"}
    start, end = grid.ms_at(1000 * number), grid.ms_at(1000 * number + frames)
    return Clip(f"c-{number:04d}", "v-1", start, end, {"video": File(f"/somewhere/c-{number}.mp4", "0" * 64)}, facts)


def says(clip: Clip, who: str, *events: Said, ids: Sequence[str] = (), certainty: str | None = None, **about: Any) -> list[Label]:
    """What somebody hands in about a clip: that they saw it, and the events. `about`: of the annotation."""
    grid, first = clip.grid, clip.first_frame
    said = {"unique_id": f"{clip.id}-{who}", **about}
    labels = [Label(clip.id, clip.source, clip.start_ms, clip.end_ms, "seen", "nfbl", who, {"annotation": said, "results": []})]
    for number, (start, end, name) in enumerate(events):
        region = {"id": ids[number] if number < len(ids) else f"new-{number}", "type": "timelinelabels"}
        raw = {"annotation": said, "results": [region]}
        span = (grid.ms_at(first + start), grid.ms_at(first + end))
        labels.append(Label(clip.id, clip.source, *span, "nfbl", {"label": name, "certainty": certainty}, who, raw))
    return labels


def adjudicates(clip: Clip, who: str, *events: Said) -> list[Label]:
    return [
        replace(lb, value="adjudicated" if lb.kind == "seen" else lb.value | {"adjudicated": True})
        for lb in says(clip, who, *events)
    ]


def line_of(clip: Clip, *proposals: Said, shown: bool = True) -> PushRecord:
    """A line of the ledger; the ids of its proposals are p-0, p-1, ..."""
    rows = [
        {"id": f"p-{n}", "label": name, "start_frame": s, "end_frame": e, "score": 0.8, "why": "The hand is there."}
        for n, (s, e, name) in enumerate(proposals)
    ]
    fps = str(clip.grid.fps)
    return PushRecord(clip.id, clip.source, clip.start_ms, clip.end_ms, fps, clip.num_frames, clip.first_frame,
                      NFBL.versioned_name, "nfbl_timeline", rows if shown else None)  # fmt: skip


class Study:
    """Annotators who look at clips in which things happen, and err: edges off, events missed, made up, called otherwise.

    Some subjects are harder to read than others.

    jitter  of the edges in frames; the others are shares of events
    """

    def __init__(
        self,
        clips: int,
        people: int,
        *,
        seed: int = 0,
        classes: int = 32,
        each: float = 6,
        jitter: float = 5,
        missed: float = 0.2,
        false: float = 0.1,
        swapped: float = 0.1,
        per_subject: int = 1,
        proposed: float = 0.0,
        frames: int = 250,
        nfbl: Nfbl = NFBL,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.clips = [clip_of(n, frames, f"s-{n // per_subject}") for n in range(clips)]
        self.people = [f"a-{n:012x}" for n in range(people)]
        self.names, self.frames, self.nfbl = nfbl.labels[:classes], frames, nfbl
        self.labels: list[Label] = []
        self.pushed: list[PushRecord] = []
        hard = self.rng.uniform(0.3, 1.7, clips)  # by subject
        for number, clip in enumerate(self.clips):
            slip = hard[number // per_subject]
            truth = [self.event() for _ in range(self.rng.poisson(each))]
            offered = self.rng.random() < proposed
            shown = [offered and self.rng.random() < 0.6 for _ in truth]
            drafts = [self.seen(t, 3.0, swapped) for t, there in zip(truth, shown, strict=True) if there]
            rest = [t for t, there in zip(truth, shown, strict=True) if not there]
            self.pushed.append(line_of(clip, *drafts, shown=offered))
            for who in self.people:
                mine, ids = [], []
                for place, draft in enumerate(drafts):
                    if self.rng.random() < 0.85:
                        ids.append(f"p-{place}")
                        mine.append(draft if self.rng.random() < 0.7 else self.seen(draft, jitter, swapped))
                mine += [self.seen(t, slip * jitter, swapped) for t in rest if self.rng.random() >= slip * missed]
                mine += [self.event() for _ in range(self.rng.poisson(false * each))]
                sure = str(self.rng.choice(["sure", "unsure", "guess"], p=[0.7, 0.2, 0.1]))
                spent = float(self.rng.gamma(4, 10))
                self.labels += says(clip, who, *mine, ids=ids, certainty=sure, lead_time=spent, updated_at="2026-11-24T10:00:00Z")

    def event(self) -> Said:
        length = int(np.clip(self.rng.gamma(3, 12), 5, self.frames - 1))
        start = int(self.rng.integers(0, self.frames - length))
        return start, start + length, str(self.rng.choice(self.names))

    def seen(self, event: Said, jitter: float, swapped: float) -> Said:
        start = int(np.clip(event[0] + round(self.rng.normal(0, jitter)), 0, self.frames - 2))
        end = int(np.clip(event[1] + round(self.rng.normal(0, jitter)), start + 1, self.frames))
        return start, end, str(self.rng.choice(self.names)) if self.rng.random() < swapped else event[2]

    def measured(self, **more: Any) -> dict[str, Any]:
        return agreement_measure.measure_agreement(self.labels, self.clips, self.nfbl, EMOTIONS, self.pushed, **more)


A, B, C = NFBL.labels[16], NFBL.labels[10], NFBL.labels[19]  # Folding arms, Touching jaw, Moving torso: of three groups
ANN, BEN, CLEO = "a-ann", "a-ben", "a-cleo"


# About whole clips.


def answer(clip: Clip, who: str, kind: str, value: Any) -> Label:
    return Label(clip.id, clip.source, clip.start_ms, clip.end_ms, kind, value, who)
