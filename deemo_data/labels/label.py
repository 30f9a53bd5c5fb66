"""Label, Pushed, Placed; names of templates and levels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deemo_data.labels.vocabulary import Nfbl

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip


@dataclass(frozen=True)
class Label:
    """What one person said about [start_ms, end_ms) of a source, on the source's clock.

    clip       public id of the clip that was looked at; for footage labelled elsewhere, the public id of its source
    source     public id of the source, as on a SafeClip
    kind       "nfbl" (value: {"label", "certainty"}, and "adjudicated": true from an adjudicator), "emotion", "sentiment",
               "emotion_words" (value: list), "clue_video", "clue_audio", "clue_text", "reasoning", "choice", "rating", "text",
               "sound", "seen" (an annotation was handed in, also one that says that nothing happens; value: "nfbl",
               "adjudicated", or "clip" when it was about the whole clip)
    annotator  pseudonym, never a name or address
    raw        what Label Studio exported for it, without who
    """

    clip: str
    source: str
    start_ms: int
    end_ms: int
    kind: str
    value: Any
    annotator: str
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pushed:
    """A line of the ledger: what an annotator was shown under a public clip id.

    fps         exact, as "30000/1001"
    first_frame the clip's frame 0 on the grid of its source
    vocabulary  name and version
    template    the page it was shown on
    proposals   what was proposed, {"id", "label", "start_frame", "end_frame", "score", "why"} each, id that of the region;
                None where the clip went out without proposals, so that their effect can be measured
    """

    clip: str
    source: str
    start_ms: int
    end_ms: int
    fps: str
    num_frames: int
    first_frame: int
    vocabulary: str
    template: str = "nfbl_timeline"
    proposals: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, clip: SafeClip, vocabulary: Nfbl, template: str, proposals: list[dict[str, Any]] | None) -> Pushed:
        return cls(
            clip.id, clip.source, clip.start_ms, clip.end_ms, str(clip.grid.fps), clip.num_frames, clip.first_frame,
            vocabulary.said, template, proposals,
        )  # fmt: skip


@dataclass(frozen=True)
class ClipEvent:
    """A label on one clip: [start_frame, end_frame) of the clip; truncated when a part of it lies outside."""

    label: Label
    start_frame: int
    end_frame: int
    truncated: bool


def short_id(*parts: object) -> str:
    """A key for a region: 16 hex of sha256 over what identifies it."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


TIMELINE, ADJUDICATE, REVIEW, CLUES = "nfbl_timeline", "adjudicate", "clip_review", "mer_clues"

DRAFTS = ("draft_clue_video", "draft_clue_audio", "draft_clue_text", "draft_reasoning")  # empty but on the page mer_clues
OTHERS = "ann_"  # how the names of others' events begin, which are shown and locked: pull drops what comes back under them


Annotation = Literal["none", "proposed", "single", "reviewed", "adjudicated"]
