"""AssignRoles: subject, interviewer, bystander."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks.body import POSE, heads_on
from deemo_data.tracks.turns import Turn, resolve, spoken_ms

if TYPE_CHECKING:
    import pandas as pd

    from deemo_data.tracks.body import Body


class Presence(NamedTuple):
    """One face of a clip: how large (median height, a share of the picture's), how near the middle (1 is there,
    0 a corner), its middle in heights of the picture, and the frames it was seen in."""

    track: int
    size: float
    middle: float
    x: float
    y: float
    frames: frozenset[int]


@dataclass(frozen=True)
class AssignRoles:
    """Makes `roles`: {"speakers": {letter: role}, "faces": {track: role}, "body": "subject" | "other"}.

    Roles are subject, interviewer and bystander. The subject's voice is that of who speaks most in the whole source,
    unless a person said otherwise; so a clip that holds only a question is not taken for the subject's. The subject's
    face is the largest, most central, most lasting one of the clip: no face is recognised, and a person seen again
    elsewhere in the picture after a cut has another role there.
    """

    large: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the subject's face: who is smaller only stands by
    lasting: Annotated[float, Field(ge=0, le=1)] = 0.2  # of the clip: who is seen for less only passes by

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
        voices = of_speakers(turns, clip.facts["speakers_said"])
        faces = of_faces(presences(table, grid.width, grid.height), clip.num_frames, len(voices) > 1, self.large, self.lasting)
        whose = of_body(body, table, faces, grid.width, grid.height)
        if (table["track"] == POSE).any():
            faces[POSE] = "subject" if whose == "subject" else "bystander"
        said = {"speakers": voices, "faces": {str(t): faces[t] for t in sorted(faces)}, "body": whose}
        (out / self.makes["roles"]).write_text(json.dumps(said))
        return {}


def of_speakers(turns: Sequence[Turn], said: Facts) -> dict[str, str]:
    """{letter: role} of all who speak: what a person said, else the subject is who speaks most, the others ask."""
    merge = said.get("merge") or {}
    given = {resolve(merge, who): role for who, role in (said.get("roles") or {}).items()}
    total = spoken_ms(turns)
    roles = {who: given.get(who, "") for who in total}
    if "subject" not in given.values():
        first = next((who for who in total if not roles[who]), None)
        if first is not None:
            roles[first] = "subject"
    return {who: roles[who] or "interviewer" for who in sorted(roles)}


def presences(table: pd.DataFrame, width: int, height: int) -> list[Presence]:
    """The faces of a table of boxes (tracks.FACE_COLUMNS), without those that only the pose knows."""
    found = []
    for track, rows in table[table["track"] != POSE].groupby("track"):
        x, y = ((rows[a] + rows[b]).median() / 2 for a, b in (("x0", "x1"), ("y0", "y1")))
        off = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) ** 0.5 / 0.5**0.5
        size = float((rows["y1"] - rows["y0"]).median()) / height
        frames = frozenset(int(f) for f in rows["frame"][rows["origin"] != "held"])
        found.append(Presence(int(str(track)), size, 1 - float(off), float(x) / height, float(y) / height, frames))
    return found


def weight(face: Presence, frames: int) -> float:
    """How much a face is the picture's subject: its area, how near the middle it is, and how long it is there."""
    return face.size**2 * (0.5 + face.middle) * len(face.frames) / max(frames, 1)


def of_faces(faces: Sequence[Presence], frames: int, asked: bool, large: float, lasting: float) -> dict[int, str]:
    """{track: role} of a clip's faces; `asked`: the source has two speakers or more, so one may be seen to ask.

    A track that begins where the subject's was lost, of like size and at the same place, is the subject's again.
    """
    ordered = sorted(faces, key=lambda f: (-weight(f, frames), f.track))
    roles: dict[int, str] = {}
    subject: list[Presence] = []
    for face in ordered:
        if not subject or (any(_again(face, s) for s in subject) and not any(face.frames & s.frames for s in subject)):
            subject.append(face)
            roles[face.track] = "subject"
        else:
            counts = asked and face.size >= large * subject[0].size and len(face.frames) >= lasting * frames
            roles[face.track] = "interviewer" if counts else "bystander"
    return roles


def _again(face: Presence, other: Presence) -> bool:
    small, big = sorted((face.size, other.size))
    return small >= 0.6 * big and abs(face.x - other.x) <= big and abs(face.y - other.y) <= big


def of_body(body: Body, table: pd.DataFrame, roles: dict[int, str], width: int, height: int) -> str:
    """Whether the tracked body is the subject's: its head is on the subject's face in most frames that have both.

    Where no face was ever seen it is taken to be; where faces were seen and never the subject's together with it, not.
    """
    if not roles:
        return "subject"
    own = table[table["track"].map(roles) == "subject"]
    there, on = heads_on(body, own, width, height)
    return "subject" if there.any() and on[there].mean() > 0.5 else "other"
