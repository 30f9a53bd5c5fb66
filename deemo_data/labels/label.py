"""The records of annotation: a label, what was pushed for labelling, a label placed on a clip; and names that all code shares.

store.py reads and writes labels and push records; placing.py makes ClipEvents of labels.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from deemo_data.clip import SafeClip
from deemo_data.labels.vocabulary import Nfbl

TIMELINE_TEMPLATE, ADJUDICATION_TEMPLATE = "nfbl_timeline", "adjudicate"  # the pages of annotation_templates/
REVIEW_TEMPLATE, CLUES_TEMPLATE = "clip_review", "mer_clues"
DRAFT_FIELDS = ("draft_clue_video", "draft_clue_audio", "draft_clue_text", "draft_reasoning")  # empty except on CLUES_TEMPLATE
OTHERS_PREFIX = "ann_"  # region names of other annotators' events, which are shown locked; pull drops regions with this prefix

AnnotationLevel = Literal["none", "proposed", "single", "reviewed", "adjudicated"]  # how far the labelling of a clip has come


@dataclass(frozen=True)
class Label:
    """What one annotator said about [start_ms, end_ms) of a source, on the source's clock.

    clip       public id of the clip that was shown; for footage labelled elsewhere, the public id of its source
    source     public id of the source, as on a SafeClip
    kind       "nfbl" (value: {"label", "certainty"}, and "adjudicated": true from an adjudicator), "emotion", "sentiment",
               "emotion_words" (value: list), "clue_video", "clue_audio", "clue_text", "reasoning", "choice", "rating", "text",
               "sound", "seen" (an annotation was submitted, perhaps one without events; value: "nfbl", "adjudicated", or
               "clip" when it was about the whole clip)
    annotator  pseudonym, never a name or address
    raw        what Label Studio exported for it, without the annotator; of a text also "origin" (drafts.Origin)
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
class PushRecord:
    """A line of the push ledger: what annotators were shown under a public clip id.

    fps         exact, as "30000/1001"
    first_frame the clip's frame 0 on the grid of its source
    vocabulary  name and version
    template    the name of the page that showed the clip
    proposals   the proposals shown, each with "id" (of its region), "label", "start_frame", "end_frame", "score", "why"; None
                when the clip was pushed without proposals, so that their effect can be measured
    drafts      {"clue_video": digest of the words} of the drafts that text boxes began with (labels/drafts.py); None without any
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
    drafts: dict[str, str] | None = None

    @classmethod
    def of(
        cls, clip: SafeClip, vocabulary: Nfbl, template: str, proposals: list[dict[str, Any]] | None,
        drafts: dict[str, str] | None = None,
    ) -> PushRecord:  # fmt: skip
        return cls(
            clip.id, clip.source, clip.start_ms, clip.end_ms, str(clip.grid.fps), clip.num_frames, clip.first_frame,
            vocabulary.versioned_name, template, proposals, drafts,
        )  # fmt: skip


@dataclass(frozen=True)
class ClipEvent:
    """A label placed on one clip: [start_frame, end_frame) in frames of the clip.

    truncated  whether a part of the label lies outside the clip
    """

    label: Label
    start_frame: int
    end_frame: int
    truncated: bool

    @property
    def span(self) -> tuple[int, int]:
        return self.start_frame, self.end_frame


def region_key(*parts: object) -> str:
    """A key for a region: 16 hex digits of the SHA-256 over the parts that identify it."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]
