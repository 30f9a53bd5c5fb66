"""Tells what people wrote from what a machine drafted for them: a text box that was left as it was holds no person's words.

Texts are compared by their words: case, spaces, punctuation and Unicode form do not count. The push ledger keeps a digest of each
draft and not its text, so that a text can be compared with the drafts of all pushes.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deemo_data.labels.label import DRAFT_FIELDS, Label, PushRecord

Origin = Literal["written", "edited", "completed", "untouched", "unknown"]
"""How a text came about.

written    nothing was drafted for it
edited     a draft was there, and the person changed its words
completed  the draft of a reasoning, with nothing but an emotion put at its end
untouched  the words of a draft
unknown    the text was pulled by a version that did not compare it with drafts
"""

DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
KEPT_SIGNS = "+%°"
MIN_SHOWN_LENGTH = 12  # letters of a text in a task's data from which it may have been what a box began with


@dataclass(frozen=True)
class TaskDrafts:
    """What the text boxes of a task began with.

    boxes    the kinds of text ("clue_video") that had a draft
    digests  `digest_words` of every text that a box may have begun with
    endings  words that may be put at the end of a draft of a reasoning: the emotions
    """

    boxes: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    endings: tuple[str, ...] = field(default=(), compare=False)

    def find_origin(self, kind: str, text: str) -> Origin:
        """How the text of a box came about. It is untouched also when it is the draft of another box or of another push."""
        words = normalise_words(text)
        if _digest(words) in self.digests:
            return "untouched"
        if kind == "reasoning" and any(
            words.endswith(ending) and _digest(words.removesuffix(ending)) in self.digests for ending in self.endings
        ):
            return "completed"
        return "edited" if kind in self.boxes else "written"


def collect_drafts(
    data: Mapping[str, Any],
    pushes: Iterable[PushRecord],
    predicted: Mapping[str, Collection[str]],
    emotions: Collection[str],
) -> TaskDrafts:
    """The drafts of a task.

    data       of the task: the texts that its page could show
    pushes     of the clip, of any time: their digests count too
    predicted  {kind: texts} of the predictions that an annotation began with
    emotions   names of emotions, which complete a reasoning
    """
    named = {name.removeprefix("draft_"): text for name in DRAFT_FIELDS if isinstance(text := data.get(name), str)}
    shown = [text for text in data.values() if isinstance(text, str) and len(normalise_words(text)) >= MIN_SHOWN_LENGTH]
    earlier = [push.drafts for push in pushes if push.drafts]
    texts = [*named.values(), *shown, *(text for texts in predicted.values() for text in texts)]
    boxes = {kind for kind, text in named.items() if digest_words(text)}
    boxes |= {kind for kind, texts in predicted.items() if any(map(digest_words, texts))}
    boxes |= {kind for drafts in earlier for kind in drafts}
    digests = {digest_words(text) for text in texts} | {digest for drafts in earlier for digest in drafts.values()}
    endings = sorted({normalise_words(name) for name in emotions} - {""}, key=lambda name: (-len(name), name))
    return TaskDrafts(frozenset(boxes), frozenset(digests - {""}), tuple(endings))


def digest_drafts(data: Mapping[str, Any]) -> dict[str, str]:
    """{kind of text: digest} of the drafts in the data of a task, for the push ledger; those without words are left out."""
    digests = {name.removeprefix("draft_"): digest_words(str(data.get(name) or "")) for name in DRAFT_FIELDS}
    return {kind: digest for kind, digest in digests.items() if digest}


def digest_words(text: str) -> str:
    """A digest of the words of a text; empty when it has none."""
    return _digest(words) if (words := normalise_words(text)) else ""


def origin_of(label: Label) -> Origin:
    """How the text of a label came about, as `deemo pull` found it."""
    origin: Origin = label.raw.get("origin", "unknown")
    return origin


def normalise_words(text: str) -> str:
    """The letters and digits of a text, lower case, in one Unicode form, without spaces.

    A sign before a number and a point in one stay: "-2" is not "2", and "1.5" is not "15".
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(DASHES)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")  # soft hyphens, characters without width
    kept = []
    for place, c in enumerate(text):
        before, after = text[max(place - 1, 0) : place], text[place + 1 : place + 2]
        is_point = c in ".," and before.isdigit() and after.isdigit()
        is_sign = c == "-" and not before.isalnum() and after.isdigit()
        if unicodedata.category(c)[0] in "LNM" or c in KEPT_SIGNS or is_sign:
            kept.append(c)
        elif is_point:
            kept.append(".")
    return unicodedata.normalize("NFKC", "".join(kept))


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]
