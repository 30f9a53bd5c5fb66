"""What the released skeleton shows of real people: the contacts of their hands, and not who they are. Draws sheets to look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deemo_data.audit.attacks.body import Track, identify_subjects
from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.media import probe
from deemo_data.stages.deidentify.publish_body import PublishBody
from deemo_data.stages.detect.track_body import TrackBody
from deemo_data.tracks import linking
from deemo_data.tracks.body import Body, read_body
from deemo_data.tracks.faces import write_faces
from deemo_data.tracks.skeleton import PUBLIC
from tests.makers.contacts import Contacts, f1, find_contacts, share_kept
from tests.makers.skeleton_sheets import draw_sheet

SIGNERS = {  # word: who signs it
    "again": 1, "help": 1, "no": 1, "bird": 2, "milk": 2, "please": 2, "book": 3, "learn": 3, "walk": 3,
    "eat": 4, "night": 4, "hungry": 5, "want": 5,
}  # fmt: skip
OTHERS = {"talker_hands_speech_wim.mp4": 8000, "signer_selfie_slp.mp4": 1933}  # ms
FRAMES_TO_SEE = 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Filmed:
    clip: Clip
    tracked: Body
    released: Body

    def contacts(self) -> Contacts:
        return find_contacts(self.tracked, self.released, self.clip.grid.width, self.clip.grid.height)


def film(path: Path, folder: Path, end_ms: int | None = None) -> Filmed:
    """Track a clip, and publish it as the profile hardened does."""
    folder.mkdir()
    facts = probe.probe_video(path)
    clip = Clip("c", "c", 0, min(end_ms or facts["duration_ms"], facts["duration_ms"]), {"source": File.of(path)}, facts)
    TrackBody()(clip, folder)
    tracked = read_body(folder / "body.parquet")
    (folder / "roles.json").write_text(json.dumps({"speakers": {}, "faces": {}, "body": "subject"}))
    write_faces(linking.rows_to_table([]), folder / "faces.parquet")
    names = {"body": "body.parquet", "roles": "roles.json", "faces": "faces.parquet"}
    (folder / "out").mkdir()
    PublishBody()(clip.with_results({n: File.of(folder / f) for n, f in names.items()}, {}), folder / "out")
    return Filmed(clip, tracked, read_body(folder / "out" / "body.parquet"))


@pytest.fixture(scope="module")
def filmed(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Filmed]:
    """{file name: clip}, and a sheet of each beside its tracks: FOLDER/NAME.png."""
    folder, video = tmp_path_factory.mktemp("skeletons"), media / "video"
    clips = {f"asl_{word}.mkv": film(video / f"asl_{word}.mkv", folder / word) for word in SIGNERS}
    clips |= {name: film(video / name, folder / name, end_ms) for name, end_ms in OTHERS.items()}
    for name, one in clips.items():
        frames = np.linspace(2, one.clip.num_frames - 3, FRAMES_TO_SEE).round().astype(int).tolist()
        draw_sheet(one.clip, one.tracked, one.released, frames, folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 20_000
    return clips


def test_contacts_survive(filmed: dict[str, Filmed]) -> None:
    signers, every = Contacts(), Contacts()
    for name, one in filmed.items():
        every.add(one.contacts())
        if name.startswith("asl_"):
            signers.add(one.contacts())
    for found in (signers, every):
        assert len(found.hand) > 400
        assert share_kept(found.hand) >= 0.9
        assert f1(found.head) >= 0.95
        assert f1(found.together) >= 0.95
    assert share_kept(signers.index_tip) >= 0.85


def test_hands_begin_at_their_wrists_and_no_gap_is_filled(filmed: dict[str, Filmed]) -> None:
    for one in filmed.values():
        points = one.released.points[:, 0]
        for root, wrist in zip(PUBLIC.hands, PUBLIC.wrists, strict=True):
            seen = np.isfinite(points[:, root, 0])
            assert np.array_equal(points[seen, root], points[seen, wrist])
        assert np.isnan(points[~np.isfinite(one.tracked.points[:, 0, 11:]).all(axis=-1)]).all()
        assert np.nanmax(np.abs(points[..., 2])) < 4, "an arm is 1.6 long, a leg 2.5"


def test_who_it_is_shows_no_more_than_before(filmed: dict[str, Filmed]) -> None:
    """42 % was the best of the attackers on the track without contacts; guessing is right in 20 %.

    A guard against getting worse, not evidence: the figure was made while looking at this attacker and these clips.
    """
    tracks = [
        Track(str(who), word, one.released, float(one.clip.grid.fps))
        for word, who in SIGNERS.items()
        for one in [filmed[f"asl_{word}.mkv"]]
    ]
    values = [row.score.value for row in identify_subjects("public", tracks) if row.score]
    assert len(values) == 14
    assert max(values) <= 0.42
    assert np.mean(values) <= 0.25
