"""The words annotators choose from: body-language classes and emotions, read from TOML with their provenance."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from deemo_data.errors import ConfigError
from deemo_data.stages.gestures.signals import RULES

BODY_PARTS = ("head", "head-hand", "body-hand", "hand", "body")
OURS = ("nfbl", "emotions")


@dataclass(frozen=True)
class NfblClass:
    """One class of body language.

    id          0-based, its place in the vocabulary and in every dataset's ClassLabel
    aliases     other spellings that exports may carry
    group       a key of the vocabulary's groups
    smg, ma52   the nearest classes of SMG and MA-52, 0-based
    visible_after_masking  False where the sign lies on the masked face
    rule        of proposals.py, that proposes events of this class
    """

    id: int
    name: str
    body_part: str
    group: str
    definition: str
    aliases: tuple[str, ...] = ()
    smg: tuple[int, ...] = ()
    ma52: tuple[int, ...] = ()
    visible_after_masking: bool = True
    rule: str = ""


@dataclass(frozen=True)
class Nfbl:
    """A vocabulary of non-facial body language. `groups`: key -> what people read."""

    name: str
    version: str
    provenance: str
    groups: Mapping[str, str]
    classes: tuple[NfblClass, ...]

    @property
    def said(self) -> str:
        """Name and version, as every record carries them."""
        return f"{self.name} {self.version}"

    @property
    def labels(self) -> list[str]:
        return [c.name for c in self.classes]

    @cached_property
    def _by_spelling(self) -> dict[str, NfblClass]:
        return {spelling.casefold(): c for c in self.classes for spelling in (*c.aliases, c.name)}

    def find(self, label: str) -> NfblClass | None:
        """The class called `label`, by name or alias, whatever the case of its letters."""
        return self._by_spelling.get(label.strip().casefold())

    def by_rule(self, rule: str) -> NfblClass | None:
        """The class that a rule of proposals.py proposes."""
        return next((c for c in self.classes if c.rule == rule), None)


@dataclass(frozen=True)
class Emotion:
    """One category: the sentiment it belongs to, and open-vocabulary words grouped under it."""

    name: str
    sentiment: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Emotions:
    """A vocabulary of emotions."""

    name: str
    version: str
    provenance: str
    sentiments: tuple[str, ...]
    emotions: tuple[Emotion, ...] = field(default_factory=tuple)

    @property
    def said(self) -> str:
        """Name and version, as every record carries them."""
        return f"{self.name} {self.version}"

    @property
    def labels(self) -> list[str]:
        return [e.name for e in self.emotions]

    def find(self, label: str) -> Emotion | None:
        return next((e for e in self.emotions if e.name.casefold() == label.strip().casefold()), None)

    def category_of(self, word: str) -> Emotion | None:
        """The category under which an open-vocabulary word is grouped."""
        wanted = word.strip().casefold()
        return next((e for e in self.emotions if wanted in (e.name.casefold(), *(w.casefold() for w in e.words))), None)


def load(where: str | Path) -> Nfbl | Emotions:
    """One of our vocabularies by name ("nfbl", "emotions"), or a TOML file of the same form by path.

    Raises ConfigError, naming the file and what is wrong in it.
    """
    said = _read(where)
    try:
        match said.get("kind"):
            case "nfbl":
                return _nfbl(said, str(where))
            case "emotions":
                return _emotions(said, str(where))
            case other:
                raise ConfigError(f'vocabulary {where}: kind is {other!r}, not "nfbl" or "emotions"', "See docs/extend.md")
    except KeyError as e:
        raise ConfigError(f"vocabulary {where}: {e.args[0]!r} is missing", "Compare with deemo_data/vocabularies") from e
    except (TypeError, ValueError, AttributeError) as e:
        raise ConfigError(f"vocabulary {where}: {e}", "Compare with deemo_data/vocabularies") from e


def load_nfbl(where: str | Path) -> Nfbl:
    """A vocabulary of body language. Raises ConfigError when `where` is none."""
    found = load(where)
    if not isinstance(found, Nfbl):
        raise ConfigError(f"vocabulary {where} is one of emotions, not of body language", 'Give one with kind = "nfbl"')
    return found


def load_emotions(where: str | Path) -> Emotions:
    """A vocabulary of emotions. Raises ConfigError when `where` is none."""
    found = load(where)
    if not isinstance(found, Emotions):
        raise ConfigError(f"vocabulary {where} is one of body language, not of emotions", 'Give one with kind = "emotions"')
    return found


def _read(where: str | Path) -> dict[str, Any]:
    try:
        if str(where) in OURS:
            return tomllib.loads(resources.files("deemo_data").joinpath("vocabularies", f"{where}.toml").read_text("utf-8"))
        return tomllib.loads(Path(where).read_text("utf-8"))
    except OSError as e:
        raise ConfigError(f"there is no vocabulary {where}", f"Give a TOML file, or one of: {', '.join(OURS)}") from e
    except (ValueError, RecursionError) as e:  # a number may be too long, a list too deep
        raise ConfigError(f"vocabulary {where}: {e}", "Mend that line and run again") from e


def _nfbl(said: dict[str, Any], where: str) -> Nfbl:
    groups = {key: str(g["name"]) for key, g in said["groups"].items()}
    known = set(NfblClass.__dataclass_fields__)
    classes = []
    for row in said["class"]:
        if strange := set(row) - known:
            wrong = f"vocabulary {where}: class {row.get('name')!r} has {', '.join(sorted(strange))}, which nothing reads"
            raise ConfigError(wrong, f"Known: {', '.join(sorted(known))}")
        if not isinstance(row.get("aliases", []), list) or not all(isinstance(a, str) for a in row.get("aliases", [])):
            raise TypeError(f"class {row.get('name')!r}: aliases must be a list of texts")
        lists = {k: tuple(row.get(k, ())) for k in ("aliases", "smg", "ma52")}
        classes.append(NfblClass(**{**row, **lists}))
    _check_names([c.name for c in classes], where)
    for place, c in enumerate(classes):
        this = f"vocabulary {where}: class {c.name!r}"
        if c.id != place:
            raise ConfigError(f"{this} has id {c.id} and stands at {place}", "Number them 0, 1, 2 in order")
        if c.group not in groups:
            raise ConfigError(f"{this} is of group {c.group!r}", f"Groups: {', '.join(groups)}")
        if c.body_part not in BODY_PARTS:
            raise ConfigError(f"{this} is of body part {c.body_part!r}", f"Body parts: {', '.join(BODY_PARTS)}")
        if c.rule and (c.rule not in RULES or any(o.rule == c.rule for o in classes[:place])):
            raise ConfigError(f"{this} has the rule {c.rule!r}", f"Each rule once, of: {', '.join(RULES)}")
    spellings = [s.casefold() for c in classes for s in {c.name, *c.aliases}]
    if twice := sorted({s for s in spellings if spellings.count(s) > 1}):
        raise ConfigError(f"vocabulary {where}: {twice[0]!r} means two classes", "Give each spelling to one class")
    return Nfbl(str(said["name"]), str(said["version"]), str(said["provenance"]).strip(), groups, tuple(classes))


def _emotions(said: dict[str, Any], where: str) -> Emotions:
    sentiments = tuple(said["sentiments"])
    emotions = tuple(Emotion(e["name"], e["sentiment"], tuple(e.get("words", ()))) for e in said["emotion"])
    _check_names([e.name for e in emotions], where)
    if not all(isinstance(x, str) for x in (*sentiments, *(w for e in emotions for w in e.words))):
        raise TypeError("sentiments and words must be lists of texts")
    for e in emotions:
        if e.sentiment not in sentiments:
            wrong = f"vocabulary {where}: {e.name!r} has the sentiment {e.sentiment!r}"
            raise ConfigError(wrong, f"Sentiments: {', '.join(sentiments)}")
    return Emotions(str(said["name"]), str(said["version"]), str(said["provenance"]).strip(), sentiments, emotions)


def _check_names(names: list[str], where: str) -> None:
    if not names:
        raise ConfigError(f"vocabulary {where} has no classes", "Compare with deemo_data/vocabularies")
    if empty := [n for n in names if not isinstance(n, str) or not n.strip()]:
        raise ConfigError(f"vocabulary {where}: {empty[0]!r} is no name", "Give each class a name")
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ConfigError(f"vocabulary {where}: {twice[0]!r} is there twice", "Give each class a name of its own")
