"""Makers that tests of several packages share; taken from baseline/test_answers."""

from __future__ import annotations

from deemo_data.baseline.wording import EmotionLexicon
from deemo_data.labels import vocabulary

LABELS = ("happy", "sad", "angry", "anxious", "neutral", "disappointed")
WORDING = EmotionLexicon.of(LABELS, vocabulary.load_emotions("emotions"))
