"""AssignRoles: who of the voices and faces of a clip is the subject, the interviewer or a bystander.

In:  speaker turns, face boxes, the body track, and the corrections that a person made. Out: one role per speaker and per face,
     and whether the tracked body is the subject's. Later stages release only what belongs to the subject.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks.body import match_heads_to_boxes
from deemo_data.tracks.faces import POSE_TRACK
from deemo_data.tracks.turns import Turn, resolve_speaker, sum_speaking_ms

if TYPE_CHECKING:
    import pandas as pd

    from deemo_data.tracks.body import Body


class FacePresence(NamedTuple):
    """One face track of a clip: how large it is, where it is, and in which frames."""

    track: int
    size: float  # median height, as a share of the picture's height
    centrality: float  # 1 in the middle of the picture, 0 in a corner
    x: float  # median centre, in heights of the picture
    y: float
    frames: frozenset[int]  # without those in which the box is only held on


@dataclass(frozen=True)
class AssignRoles:
    """Makes `roles`: {"speakers": {letter: role}, "faces": {track: role}, "body": "subject" | "other"}.

    Roles are subject, interviewer and bystander. The subject's voice is the one that speaks most in the whole source, unless
    a person corrected it. The whole source decides, so a voice that only asks a question in a clip is not the subject's.
    The subject's face is the largest, most central and longest visible face of the clip. No face is recognised: a person who
    appears elsewhere in the picture after a cut may get another role there.
    """

    large: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the size of the subject's face; a smaller face is a bystander
    lasting: Annotated[float, Field(ge=0, le=1)] = 0.2  # share of the clip; a face visible for less is a bystander

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("turns", "faces", "body", "grid", "speakers_said")
    makes: ClassVar[dict[str, str]] = {"roles": "roles.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks.body import read_body
        from deemo_data.tracks.faces import read_faces

        grid = clip.grid
        turns = [Turn(**t) for t in json.loads(clip.path("turns").read_text())["turns"]]
        table, body = read_faces(clip.path("faces")), read_body(clip.path("body"))
        voices = assign_speaker_roles(turns, clip.facts["speakers_said"])
        faces = assign_face_roles(
            measure_presences(table, grid.width, grid.height), clip.num_frames, len(voices) > 1, self.large, self.lasting
        )
        body_role = assign_body_role(body, table, faces, grid.width, grid.height)
        if (table["track"] == POSE_TRACK).any():
            faces[POSE_TRACK] = "subject" if body_role == "subject" else "bystander"
        roles = {"speakers": voices, "faces": {str(t): faces[t] for t in sorted(faces)}, "body": body_role}
        (out / self.makes["roles"]).write_text(json.dumps(roles))
        return {}


def assign_speaker_roles(turns: Sequence[Turn], corrections: Facts) -> dict[str, str]:
    """{letter: role} of every speaker of the source.

    The role that a person set comes first. Without a corrected subject, the speaker who speaks most and has no corrected role is
    the subject. All others are interviewers.
    """
    merge = corrections.get("merge") or {}
    corrected = {resolve_speaker(merge, speaker): role for speaker, role in (corrections.get("roles") or {}).items()}
    speakers = sum_speaking_ms(turns)  # the one who speaks most comes first
    roles = {speaker: corrected.get(speaker, "") for speaker in speakers}
    if "subject" not in corrected.values():
        first = next((speaker for speaker in speakers if not roles[speaker]), None)
        if first is not None:
            roles[first] = "subject"
    return {speaker: roles[speaker] or "interviewer" for speaker in sorted(roles)}


def measure_presences(table: pd.DataFrame, width: int, height: int) -> list[FacePresence]:
    """The faces of a table of boxes (tracks.faces.FACE_COLUMNS), without boxes that come from the pose alone."""
    presences = []
    for track, rows in table[table["track"] != POSE_TRACK].groupby("track"):
        x, y = ((rows[a] + rows[b]).median() / 2 for a, b in (("x0", "x1"), ("y0", "y1")))
        from_middle = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) ** 0.5 / 0.5**0.5
        size = float((rows["y1"] - rows["y0"]).median()) / height
        frames = frozenset(int(f) for f in rows["frame"][rows["origin"] != "held"])
        centrality = 1 - float(from_middle)
        presences.append(FacePresence(int(str(track)), size, centrality, float(x) / height, float(y) / height, frames))
    return presences


def measure_prominence(face: FacePresence, frames: int) -> float:
    """How prominent a face is in the clip: its area, how central it is, and how long it is visible."""
    return face.size**2 * (0.5 + face.centrality) * len(face.frames) / max(frames, 1)


def assign_face_roles(
    faces: Sequence[FacePresence], frames: int, has_interviewer: bool, large: float, lasting: float
) -> dict[int, str]:
    """{track: role} of a clip's faces. A face is an interviewer's only with `has_interviewer`: two or more voices.

    A track of similar size at the same place as the subject's, but never in the same frame, is the subject's too.
    """
    ordered = sorted(faces, key=lambda f: (-measure_prominence(f, frames), f.track))
    roles: dict[int, str] = {}
    subject: list[FacePresence] = []
    for face in ordered:
        if not subject or (any(_is_same_place(face, s) for s in subject) and not any(face.frames & s.frames for s in subject)):
            subject.append(face)
            roles[face.track] = "subject"
        else:
            is_interviewer = has_interviewer and face.size >= large * subject[0].size and len(face.frames) >= lasting * frames
            roles[face.track] = "interviewer" if is_interviewer else "bystander"
    return roles


def _is_same_place(face: FacePresence, other: FacePresence) -> bool:
    small, big = sorted((face.size, other.size))
    return small >= 0.6 * big and abs(face.x - other.x) <= big and abs(face.y - other.y) <= big


def assign_body_role(body: Body, table: pd.DataFrame, roles: dict[int, str], width: int, height: int) -> str:
    """ "subject" if the body's head is on the subject's face in most frames that have both, otherwise "other".

    Without any face in the clip, the body counts as the subject's. If there are faces but the subject's is never in a frame
    with the body, it does not.
    """
    if not roles:
        return "subject"
    subject_boxes = table[table["track"].map(roles) == "subject"]
    has_both, is_on_box = match_heads_to_boxes(body, subject_boxes, width, height)
    return "subject" if has_both.any() and is_on_box[has_both].mean() > 0.5 else "other"
