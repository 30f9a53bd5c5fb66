"""The rows of a dataset as pydantic models: what each column means, and the rules that a row must keep.

`NfblRecord` is a row of config nfbl, one per clip. `MerRecord` is a row of config mer, one per question about a clip's emotion.
The export validates each row before it writes it, and `deemo validate` each row that it reads. tables.py has the column types.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator

from deemo_data.clip import frame_to_ms
from deemo_data.labels.label import AnnotationLevel
from deemo_data.tracks.skeleton import PUBLIC_DIMS, PUBLIC_POINTS

PROSODY_STEP_MS = 10
RecordStatus = AnnotationLevel | Literal["drafted"]  # drafted: a machine's words that a person completed and let stand


class NfblEvent(BaseModel, extra="forbid", frozen=True):
    """One body-language event in a clip: [start, end) in milliseconds and frames of the clip's own video.

    annotators  how many people marked it; 0 for a machine proposal
    agreement   share of the people who looked at the clip that marked it; None when only one looked
    status      how far its labelling came
    truncated   True when the clip holds only a part of the event
    """

    start_ms: int = Field(ge=0)
    end_ms: int
    start_frame: int = Field(ge=0)
    end_frame: int
    label: str
    group: str
    annotators: int = Field(ge=0)
    agreement: float | None = Field(ge=0, le=1)
    status: AnnotationLevel
    truncated: bool

    @field_validator("label")
    @classmethod
    def _label_is_in_vocabulary(cls, label: str, info: ValidationInfo) -> str:
        return _check_vocabulary("label", label, info)

    @field_validator("group")
    @classmethod
    def _group_is_in_vocabulary(cls, group: str, info: ValidationInfo) -> str:
        return _check_vocabulary("group", group, info)

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> NfblEvent:
        if self.start_frame >= self.end_frame or self.start_ms >= self.end_ms:
            raise ValueError(f"event {self.label} ends before it starts")
        if (self.status == "proposed") != (self.annotators == 0):
            raise ValueError(f"event {self.label} is {self.status} by {self.annotators} annotators")
        return self


class Consent(BaseModel, extra="forbid", frozen=True):
    """The statement about consent for a source; `asserted` when one statement was given for all sources."""

    statement: str
    asserted: bool


class Digest(BaseModel, extra="forbid", frozen=True):
    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class NfblRecord(BaseModel, extra="forbid", frozen=True):
    """One clip.

    body, body_confidence  flat arrays, of shape (frames, people, points, dims) and (frames, people, points)
    prosody_f0, prosody_energy, prosody_rate  curves with a value every 10 ms, from the start of the clip
    """

    clip_id: str = Field(min_length=1)
    subject_id: str = Field(min_length=1)
    subject_assumed: bool
    video: str = Field(min_length=1)
    fps: float = Field(gt=0)
    fps_num: int = Field(gt=0)
    fps_den: int = Field(gt=0)
    num_frames: int = Field(gt=0)
    duration_ms: int = Field(gt=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    annotation: AnnotationLevel
    events: tuple[NfblEvent, ...]
    body: Any
    body_confidence: Any
    body_frames: int
    body_people: int
    body_points: int
    body_dims: int
    body_unit: Literal["picture", "shoulders"]
    prosody_f0: Any
    prosody_energy: Any
    prosody_rate: Any
    transcript: str
    consent: Consent
    licence: str | None
    leaks: str
    provenance: tuple[Digest, ...]
    vocabulary: str

    @model_validator(mode="after")
    def _times_agree(self) -> NfblRecord:
        fps = Fraction(self.fps_num, self.fps_den)
        if abs(self.fps - float(fps)) > 1e-6:
            raise ValueError(f"fps is {self.fps}, fps_num/fps_den is {fps}")
        if self.duration_ms != frame_to_ms(self.num_frames, fps):
            lasts = frame_to_ms(self.num_frames, fps)
            raise ValueError(f"duration_ms is {self.duration_ms}, {self.num_frames} frames at {fps} last {lasts}")
        for e in self.events:
            if e.end_frame > self.num_frames or e.end_ms > self.duration_ms:
                raise ValueError(f"event {e.label} ends at frame {e.end_frame}, the clip has {self.num_frames}")
            for ms, frame in ((e.start_ms, e.start_frame), (e.end_ms, e.end_frame)):
                if ms != frame_to_ms(frame, fps):
                    raise ValueError(f"event {e.label}: frame {frame} is at {frame_to_ms(frame, fps)} ms, not {ms}")
        if self.annotation == "none" and self.events:
            raise ValueError("annotation is none, and there are events")
        return self

    @model_validator(mode="after")
    def _body_is_public(self) -> NfblRecord:
        if (self.body_points, self.body_dims) != (PUBLIC_POINTS, PUBLIC_DIMS):
            hint = ": face points are in it" if self.body_points in (33, 75) else ""
            shape = f"body has {self.body_points} points × {self.body_dims}"
            raise ValueError(f"{shape}, a public one has {PUBLIC_POINTS} × {PUBLIC_DIMS}{hint}")
        if self.body_frames != self.num_frames:
            raise ValueError(f"body has {self.body_frames} frames, the clip has {self.num_frames}")
        size = self.body_frames * self.body_people * self.body_points
        if len(self.body_confidence) != size or len(self.body) != size * self.body_dims:
            raise ValueError("body is not as long as its shape says")
        return self

    @model_validator(mode="after")
    def _curves_are_as_long_as_the_clip(self) -> NfblRecord:
        lengths = {len(self.prosody_f0), len(self.prosody_energy), len(self.prosody_rate)}
        if len(lengths) > 1 or abs(lengths.pop() * PROSODY_STEP_MS - self.duration_ms) > 2 * PROSODY_STEP_MS:
            raise ValueError(f"the prosody curves do not last {self.duration_ms} ms")
        return self


class Clues(BaseModel, extra="forbid", frozen=True):
    """What an annotator wrote about the body, the voice and the words; empty when nobody wrote anything."""

    video: str
    audio: str
    text: str


class Turn(BaseModel, extra="forbid", frozen=True):
    """One turn of a conversation in the LLaVA format."""

    from_: Literal["human", "gpt"] = Field(alias="from")
    value: str = Field(min_length=1)


class Evidence(BaseModel, extra="forbid", frozen=True):
    """An event that a record is based on: its id (clip id, #, place in `events`) and its span in the clip."""

    event: str
    start_ms: int = Field(ge=0)
    end_ms: int

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> Evidence:
        if self.start_ms >= self.end_ms:
            raise ValueError(f"evidence {self.event} ends before it starts")
        return self


class Author(BaseModel, extra="forbid", frozen=True):
    """What one annotator contributed to a field of a record.

    field      "response", or a clue: "clue_video", "clue_audio", "clue_text"
    annotator  who it was, under an id that only datasets use
    how        chosen: one of the given answers; written: in their own words; edited: a draft whose words they changed;
               drafted: a draft of rules that they completed and otherwise left; unknown: nobody compared it with drafts
    text       what they chose or wrote
    """

    field: Literal["response", "clue_video", "clue_audio", "clue_text"]
    annotator: str = Field(min_length=1)
    how: Literal["chosen", "written", "edited", "drafted", "unknown"]
    text: str = Field(min_length=1)


class MerRecord(BaseModel, extra="forbid", frozen=True):
    """One question about a clip's emotion and its answer.

    status   how many people agree; "drafted" when the response is a draft that they completed and otherwise left
    authors  who contributed what; empty in datasets of before this column
    """

    record_id: str = Field(min_length=1)
    clip_id: str = Field(min_length=1)
    subject_id: str = Field(min_length=1)
    video: str = Field(min_length=1)
    transcript: str
    task: Literal["recognition", "reasoning"]
    instruction: str = Field(min_length=1)
    response: str = Field(min_length=1)
    emotion: str
    sentiment: str
    emotion_words: tuple[str, ...]
    clues: Clues
    conversations: tuple[Turn, ...] = Field(min_length=2)
    evidence: tuple[Evidence, ...]
    status: RecordStatus
    vocabulary: str
    authors: tuple[Author, ...] = ()

    @field_validator("emotion")
    @classmethod
    def _emotion_is_in_vocabulary(cls, emotion: str, info: ValidationInfo) -> str:
        return _check_vocabulary("emotion", emotion, info)

    @field_validator("sentiment")
    @classmethod
    def _sentiment_is_in_vocabulary(cls, sentiment: str, info: ValidationInfo) -> str:
        return _check_vocabulary("sentiment", sentiment, info)

    @model_validator(mode="after")
    def _turns_alternate(self) -> MerRecord:
        if [t.from_ for t in self.conversations] != ["human", "gpt"] * (len(self.conversations) // 2):
            raise ValueError("conversations do not go human, gpt, human, gpt")
        if self.conversations[-1].value != self.response:
            raise ValueError("the last turn is not the response")
        return self

    @model_validator(mode="after")
    def _authors_wrote_the_response(self) -> MerRecord:
        if not self.authors:
            return self
        responses = [a for a in self.authors if a.field == "response"]
        if not responses:
            raise ValueError("nobody is named as author of the response")
        if self.task == "reasoning" and any(a.text != self.response for a in responses):
            raise ValueError("the response is not what its author wrote")
        if (self.status == "drafted") != any(a.how == "drafted" for a in responses):
            raise ValueError(f"the status is {self.status}, its authors say otherwise")
        return self


def _check_vocabulary(what: str, name: str, info: ValidationInfo) -> str:
    """Refuse a name that is not in the vocabulary. `info.context` may hold the allowed names: column -> names."""
    allowed = (info.context or {}).get(what)
    if allowed is not None and name not in allowed:
        raise ValueError(f"{what} {name!r} is not in the vocabulary")
    return name


def first_error(error: ValidationError) -> str:
    """The first error that pydantic found, as one sentence."""
    first = error.errors()[0]
    where = ".".join(str(p) for p in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")


def texts_of_row(row: Mapping[str, Any], config: str) -> dict[str, str]:
    """The free texts of a row, by name: what was said in the clip, or what people or machines wrote about it."""
    texts = {"transcript": row.get("transcript") or ""}
    if config == "mer":
        texts = {f"clue {n}": t or "" for n, t in (row.get("clues") or {}).items()}
        if row.get("task") == "reasoning":
            texts["response"] = row.get("response") or ""
    return texts
