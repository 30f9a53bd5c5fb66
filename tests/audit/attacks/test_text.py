"""The attacker who knows the names and reads, or listens to, what came out."""

from __future__ import annotations

from pathlib import Path

import pytest

from deemo_data.audit.attacks import text


@pytest.mark.parametrize(
    ("names", "said", "counts"),
    [
        (["Rafael Nadal"], "I lost to Rafael Nadal.", (2, 2, 0)),
        (["Rafael Nadal"], "I lost to Nadel's brother.", (2, 0, 1)),
        (["Sherburn"], "Sherbourne run his eye along the crowd", (1, 0, 1)),
        (["Sheila"], "then Sheela came", (1, 0, 1)),
        (["Jürgen"], "Das war Jurgen.", (1, 1, 0)),
        (["Sherburn"], "in front of Sher burn there", (1, 0, 1)),
        (["Hale", "Thornton"], "Hello, whole hall of hell. [NAME] and [NAME2]'s throne.", (2, 0, 0)),
        (["Name"], "[NAME] and [NAME3] met.", (1, 0, 0)),
        (["Rafael Nadal"], "", (2, 0, 0)),
        ([], "anything", (0, 0, 0)),
    ],
)
def test_names_are_recalled_as_written_misspelt_or_by_sound(names: list[str], said: str, counts: tuple[int, int, int]) -> None:
    recalled = text.recall_names(names, said)
    assert tuple(recalled)[:3] == counts
    assert recalled.share == ((counts[1] + counts[2]) / counts[0] if counts[0] else 0)


def test_the_answer_names_nobody() -> None:
    assert "nadal" not in repr(text.recall_names(["Nadal"], "Nadal")).lower()


@pytest.mark.usefixtures("weights")
def test_the_attacker_hears_a_name_that_is_said(media: Path) -> None:
    import soundfile

    wave, _ = soundfile.read(media / "audio/speakers_librispeech/2609/2609-156975-0000.flac", dtype="float32")
    assert text.recall_names(["Moses"], text.transcribe_wave(wave)).exact == 1
    wave[: len(wave) // 3] = 0
    assert text.recall_names(["Moses"], text.transcribe_wave(wave)).share == 0
