"""A lexicon of six emotions."""

from __future__ import annotations

from deemo_data.baseline.wording import EmotionLexicon
from deemo_data.labels import vocabulary

LABELS = ("happy", "sad", "angry", "anxious", "neutral", "disappointed")
LEXICON = EmotionLexicon.of(LABELS, vocabulary.load_emotions("emotions"))
