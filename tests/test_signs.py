"""What is measured on a released clip, on tracks made up so that the right answer is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deemo_data import signs, tracks
from deemo_data.clip import Clip, File, Grid
from deemo_data.labels import Label
from deemo_data.release import SafeClip
from deemo_data.vocabulary import load_nfbl

NFBL = load_nfbl("nfbl")
FPS = 25
RULED = next(c for c in NFBL.classes if c.rule)


def made_up(
    folder: Path, name: str, *, seconds: float = 10, rate: float = 4, voice: Any = None, tones: Any = None, energy: float = -25,
    swing: float = 0.0, hz: float = 1.0, unit: str = "shoulders", subject: str = "s-1", transcript: str = "", seen: bool = True,
    **facts: Any,
) -> SafeClip:  # fmt: skip
    """A released clip. voice: bool a row of 10 ms (default: all); swing, hz: of the right wrist, in shoulder widths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, frames = round(seconds * 100), round(seconds * FPS)
    voiced = np.ones(rows, bool) if voice is None else np.asarray(voice, bool)
    f0 = np.zeros(rows) if tones is None else np.asarray(tones, float)
    curves = {"f0_semitones": np.where(voiced, f0, np.nan).astype(np.float32), "energy_db": np.full(rows, energy, np.float32),
              "voiced": voiced, "speech_rate": np.where(voiced, rate, 0).astype(np.float32)}  # fmt: skip
    pq.write_table(pa.table(curves), folder / f"{name}.prosody.parquet")
    points = np.full((frames, 1, 64, 3), np.nan, np.float32)
    at = {0: (0.5, 0), 1: (-0.5, 0), 2: (0.6, 0.7), 3: (-0.6, 0.7), 4: (0.5, 1.2), 5: (-0.5, 1.2)}
    for point, place in at.items():
        points[:, 0, point, :2] = place
        points[:, 0, point, 2] = 0
    points[:, 0, 5, 1] += swing * np.sin(2 * np.pi * hz * np.arange(frames) / FPS)
    if unit == "picture":  # 640 × 360: a shoulder width is 64 px
        points[..., 0] = 0.5 + points[..., 0] * 64 / 640
        points[..., 1] = 0.5 + points[..., 1] * 64 / 360
    sure = np.isfinite(points[..., 0]).astype(np.float32) * (1.0 if seen else 0.2)
    tracks.write_body(tracks.Body(points, sure), folder / f"{name}.body.parquet")
    files = {n: File.of(folder / f"{name}.{n}.parquet") for n in ("body", "prosody")}
    grid = Grid(Fraction(FPS), False, Fraction(0), 100 * frames, 640, 360).to_fact()
    said = {"grid": grid, "subject": subject, "body_unit": unit, "transcript": transcript, "proposals": None} | facts
    return SafeClip(Clip(name, f"v-{name}", 0, round(seconds * 1000), files, said))


def looked(clip: SafeClip, who: str = "a-1") -> Label:
    return Label(clip.id, clip.source, clip.start_ms, clip.end_ms, "seen", "nfbl", who)


def event(clip: SafeClip, start_ms: int, end_ms: int, label: str = "Folding arms", who: str = "a-1") -> Label:
    return Label(clip.id, clip.source, start_ms, end_ms, "nfbl", {"label": label, "certainty": "sure"}, who)


def test_rate_and_pauses(tmp_path: Path) -> None:
    voice = np.ones(1000, bool)
    voice[200:400] = False  # 2 s of silence: a pause
    voice[500:510] = False  # 0.1 s: a consonant
    got = signs.voice(made_up(tmp_path, "a", voice=voice, rate=4))
    assert got["pauses"] == pytest.approx(0.2, abs=0.01)
    assert got["rate"] == pytest.approx(4, abs=0.2), "pauses do not make speech slow"
    assert signs.voice(made_up(tmp_path, "b", voice=np.arange(1000) < 90)) == {}, "less than a second of voice"


def test_pitch_and_loudness(tmp_path: Path) -> None:
    got = signs.voice(made_up(tmp_path, "a", tones=np.linspace(-5, 5, 1000), energy=-31))
    assert got["pitch"] == pytest.approx(5, abs=0.1)  # from the lower to the upper quartile
    assert got["loudness"] == pytest.approx(-31)


@pytest.mark.parametrize("unit", ["shoulders", "picture"])
def test_movement_is_in_shoulder_widths_whatever_the_unit(tmp_path: Path, unit: str) -> None:
    """A wrist that swings by sin: its mean speed is 4 × swing × hz; one point of six moves."""
    got = signs.measure(made_up(tmp_path, "a", swing=0.5, hz=0.5, unit=unit), [], NFBL).values["movement"]
    assert got == pytest.approx(4 * 0.5 * 0.5 / 6, rel=0.05)
    still = signs.measure(made_up(tmp_path, "b", unit=unit), [], NFBL).values["movement"]
    assert still < 0.02


def test_who_is_not_seen_does_not_move(tmp_path: Path) -> None:
    assert signs.speed(made_up(tmp_path, "a", swing=1, seen=False)) is None
    assert "movement" not in signs.measure(made_up(tmp_path, "b", swing=1, seen=False), [], NFBL).values


def test_events_by_people_or_else_by_rules(tmp_path: Path) -> None:
    proposal = {"rule": RULED.rule, "start_frame": 0, "end_frame": 30, "score": 0.9, "why": ""}
    clip = made_up(tmp_path, "a", proposals=[proposal])
    by_rules = signs.measure(clip, [], NFBL)
    people = [looked(clip), event(clip, 0, 1000), event(clip, 2000, 3000), event(clip, 4000, 5000, "Illustrative hand gestures")]
    by_people = signs.measure(clip, people, NFBL)
    counted = 0 if RULED.group == signs.ILLUSTRATIVE else 1
    assert (by_rules.basis, by_rules.values["body_language"]) == ("proposals", counted)
    assert (by_people.basis, by_people.values["body_language"]) == ("people", 2), "illustrative gestures are no sign"
    none = signs.measure(made_up(tmp_path, "b"), [], NFBL)
    assert (none.basis, "body_language" in none.values) == ("", False)
    nothing = signs.measure(made_up(tmp_path, "c", proposals=[]), [], NFBL)
    assert (nothing.basis, nothing.values["body_language"]) == ("proposals", 0), "the rules looked and found nothing"


def test_what_is_usual_is_a_persons_own_and_else_everybodys() -> None:
    def some(subject: str, *rates: float) -> list[signs.Measures]:
        return [signs.Measures(subject, {"rate": r}) for r in rates]

    pools = signs.pools([*some("s-1", 4, 4.5, 5, 5.5, 6), *some("s-2", 1)], own=5)
    one = signs.usual_of("rate", signs.Measures("s-1", {}), pools)
    other = signs.usual_of("rate", signs.Measures("s-2", {}), pools)
    assert one
    assert (one.median, one.clips, one.whose) == (5, 5, "this person's")
    assert one.deviation == pytest.approx(1.4826 * 0.5)
    assert other
    assert (other.median, other.clips, other.whose) == (4.75, 6, "everybody's")
    assert signs.usual_of("rate", signs.Measures("s-1", {}), signs.pools(some("s-1", 4, 5), own=3)) is None


def test_a_difference_that_nobody_notices_is_none() -> None:
    pools = signs.pools([signs.Measures("s", {"rate": 4.0}) for _ in range(6)], own=6)
    assert pools[("rate", "s", "")].deviation == signs.SIGNS["rate"].least


def test_events_by_rules_are_not_compared_with_events_by_people() -> None:
    people = [signs.Measures("s", {"body_language": 4.0}, "people") for _ in range(6)]
    pools = signs.pools([*people, signs.Measures("s", {"body_language": 0.0}, "proposals")], own=6)
    assert signs.usual_of("body_language", signs.Measures("s", {}, "proposals"), pools) is None
    assert signs.usual_of("body_language", people[0], pools)
