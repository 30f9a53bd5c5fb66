"""The vocabularies that annotators choose from: body-language classes and emotions, read from TOML files.

Two are built in (vocabularies/nfbl.toml, vocabularies/emotions.toml); a project may name a file of its own.
"""

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
BUILT_IN_NAMES = ("nfbl", "emotions")


@dataclass(frozen=True)
class NfblClass:
    """One class of body language.

    id          0-based; the position in the vocabulary and in the ClassLabel of every dataset
    aliases     other spellings that exports of labels may use
    group       a key of the vocabulary's groups
    smg, ma52   ids of the nearest classes of the SMG and MA-52 datasets, 0-based
    visible_after_masking  False when the sign lies on the masked face
    rule        the gesture rule (stages/gestures) that proposes events of this class; "" when there is none
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
    """A vocabulary of non-facial body language (NFBL). groups: {key: the name that people read}."""

    name: str
    version: str
    provenance: str
    groups: Mapping[str, str]
    classes: tuple[NfblClass, ...]

    @property
    def versioned_name(self) -> str:
        """Name and version, as every record states them."""
        return f"{self.name} {self.version}"

    said = versioned_name  # the name that annotation_templates use, and so the templates of users

    @property
    def labels(self) -> list[str]:
        return [c.name for c in self.classes]

    @cached_property
    def _by_spelling(self) -> dict[str, NfblClass]:
        return {spelling.casefold(): c for c in self.classes for spelling in (*c.aliases, c.name)}

    def find(self, label: str) -> NfblClass | None:
        """The class with this name or alias, ignoring case and outer blanks; None when there is none."""
        return self._by_spelling.get(label.strip().casefold())

    def class_of_rule(self, rule: str) -> NfblClass | None:
        """The class whose events a gesture rule proposes; None when there is none."""
        return next((c for c in self.classes if c.rule == rule), None)


@dataclass(frozen=True)
class Emotion:
    """One category of emotion, with its sentiment and the open-vocabulary words that are grouped under it."""

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
    def versioned_name(self) -> str:
        """Name and version, as every record states them."""
        return f"{self.name} {self.version}"

    said = versioned_name  # the name that annotation_templates use, and so the templates of users

    @property
    def labels(self) -> list[str]:
        return [e.name for e in self.emotions]

    def find(self, label: str) -> Emotion | None:
        return next((e for e in self.emotions if e.name.casefold() == label.strip().casefold()), None)

    def category_of(self, word: str) -> Emotion | None:
        """The category under which an open-vocabulary word is grouped."""
        wanted = word.strip().casefold()
        return next((e for e in self.emotions if wanted in (e.name.casefold(), *(w.casefold() for w in e.words))), None)


def load_vocabulary(name_or_path: str | Path) -> Nfbl | Emotions:
    """Load a built-in vocabulary by name ("nfbl", "emotions"), or one of your own by the path of its TOML file.

    Raises ConfigError, which names the file and the fault in it.
    """
    table = _read_toml(name_or_path)
    try:
        match table.get("kind"):
            case "nfbl":
                return _parse_nfbl(table, str(name_or_path))
            case "emotions":
                return _parse_emotions(table, str(name_or_path))
            case other:
                raise ConfigError(f'vocabulary {name_or_path}: kind is {other!r}, not "nfbl" or "emotions"', "See docs/extend.md")
    except KeyError as e:
        raise ConfigError(f"vocabulary {name_or_path}: {e.args[0]!r} is missing", "Compare with deemo_data/vocabularies") from e
    except (TypeError, ValueError, AttributeError) as e:
        raise ConfigError(f"vocabulary {name_or_path}: {e}", "Compare with deemo_data/vocabularies") from e


def load_nfbl(name_or_path: str | Path) -> Nfbl:
    """`load_vocabulary` for body language. Raises ConfigError also when it is a vocabulary of emotions."""
    vocabulary = load_vocabulary(name_or_path)
    if not isinstance(vocabulary, Nfbl):
        raise ConfigError(f"vocabulary {name_or_path} is one of emotions, not of body language", 'Give one with kind = "nfbl"')
    return vocabulary


def load_emotions(name_or_path: str | Path) -> Emotions:
    """`load_vocabulary` for emotions. Raises ConfigError also when it is a vocabulary of body language."""
    vocabulary = load_vocabulary(name_or_path)
    if not isinstance(vocabulary, Emotions):
        raise ConfigError(
            f"vocabulary {name_or_path} is one of body language, not of emotions", 'Give one with kind = "emotions"'
        )
    return vocabulary


def _read_toml(name_or_path: str | Path) -> dict[str, Any]:
    try:
        if str(name_or_path) in BUILT_IN_NAMES:
            return tomllib.loads(
                resources.files("deemo_data").joinpath("vocabularies", f"{name_or_path}.toml").read_text("utf-8")
            )
        return tomllib.loads(Path(name_or_path).read_text("utf-8"))
    except OSError as e:
        raise ConfigError(
            f"there is no vocabulary {name_or_path}", f"Give a TOML file, or one of: {', '.join(BUILT_IN_NAMES)}"
        ) from e
    except (ValueError, RecursionError) as e:  # RecursionError: lists nested too deeply
        raise ConfigError(f"vocabulary {name_or_path}: {e}", "Mend that line and run again") from e


def _parse_nfbl(table: dict[str, Any], where: str) -> Nfbl:
    groups = {key: str(g["name"]) for key, g in table["groups"].items()}
    keys = set(NfblClass.__dataclass_fields__)
    classes = []
    for row in table["class"]:
        if unknown := set(row) - keys:
            problem = f"vocabulary {where}: class {row.get('name')!r} has {', '.join(sorted(unknown))}, which nothing reads"
            raise ConfigError(problem, f"Known: {', '.join(sorted(keys))}")
        if not isinstance(row.get("aliases", []), list) or not all(isinstance(a, str) for a in row.get("aliases", [])):
            raise TypeError(f"class {row.get('name')!r}: aliases must be a list of texts")
        lists = {k: tuple(row.get(k, ())) for k in ("aliases", "smg", "ma52")}
        classes.append(NfblClass(**{**row, **lists}))
    _check_names([c.name for c in classes], where)
    for position, c in enumerate(classes):
        this = f"vocabulary {where}: class {c.name!r}"
        if c.id != position:
            raise ConfigError(f"{this} has id {c.id} and stands at {position}", "Number them 0, 1, 2 in order")
        if c.group not in groups:
            raise ConfigError(f"{this} is of group {c.group!r}", f"Groups: {', '.join(groups)}")
        if c.body_part not in BODY_PARTS:
            raise ConfigError(f"{this} is of body part {c.body_part!r}", f"Body parts: {', '.join(BODY_PARTS)}")
        if c.rule and (c.rule not in RULES or any(o.rule == c.rule for o in classes[:position])):
            raise ConfigError(f"{this} has the rule {c.rule!r}", f"Each rule once, of: {', '.join(RULES)}")
    spellings = [s.casefold() for c in classes for s in {c.name, *c.aliases}]
    if repeated := sorted({s for s in spellings if spellings.count(s) > 1}):
        raise ConfigError(f"vocabulary {where}: {repeated[0]!r} means two classes", "Give each spelling to one class")
    return Nfbl(str(table["name"]), str(table["version"]), str(table["provenance"]).strip(), groups, tuple(classes))


def _parse_emotions(table: dict[str, Any], where: str) -> Emotions:
    sentiments = tuple(table["sentiments"])
    emotions = tuple(Emotion(e["name"], e["sentiment"], tuple(e.get("words", ()))) for e in table["emotion"])
    _check_names([e.name for e in emotions], where)
    if not all(isinstance(x, str) for x in (*sentiments, *(w for e in emotions for w in e.words))):
        raise TypeError("sentiments and words must be lists of texts")
    for e in emotions:
        if e.sentiment not in sentiments:
            problem = f"vocabulary {where}: {e.name!r} has the sentiment {e.sentiment!r}"
            raise ConfigError(problem, f"Sentiments: {', '.join(sentiments)}")
    return Emotions(str(table["name"]), str(table["version"]), str(table["provenance"]).strip(), sentiments, emotions)


def _check_names(names: list[str], where: str) -> None:
    if not names:
        raise ConfigError(f"vocabulary {where} has no classes", "Compare with deemo_data/vocabularies")
    if empty := [n for n in names if not isinstance(n, str) or not n.strip()]:
        raise ConfigError(f"vocabulary {where}: {empty[0]!r} is no name", "Give each class a name")
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        raise ConfigError(f"vocabulary {where}: {repeated[0]!r} is there twice", "Give each class a name of its own")
