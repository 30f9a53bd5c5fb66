"""Everything deemo_data raises on purpose.

DeemoError
├── ConfigError      deemo.toml or a command line says something we do not understand
├── ProjectError     the project folder is not in the state a command needs
├── SourceError      footage that cannot be taken in: missing, unreadable, not allowed
├── MediaError       a file is not the video or sound it claims to be
├── ModelError       weights are missing or not the ones we pinned, or a language model does not answer
├── StageError       a stage broke its own promise
├── LabelError       a label or an export of labels that does not fit
├── NotReleasable    something private was about to leave the machine
└── DatasetError     a dataset folder breaks its own rules
"""

from __future__ import annotations


def plain(text: str) -> str:
    """Text from outside, such as a name, on one line: what would steer a terminal or turn the line round is shown as code."""
    shown = "".join(c if c.isprintable() or c.isspace() else c.encode("unicode-escape").decode() for c in text)
    return " ".join(shown.split())


class DeemoError(Exception):
    """An error whose message is meant for the person at the keyboard.

    `what` says what went wrong and with which file or clip; `advice` is the next thing to type.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what, advice)  # both as args, so that the error survives the trip between processes
        self.what = plain(what)
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.what}. {plain(self.advice)}" if self.advice else self.what


class ConfigError(DeemoError): ...


class ProjectError(DeemoError): ...


class SourceError(DeemoError): ...


class MediaError(DeemoError): ...


class ModelError(DeemoError): ...


class StageError(DeemoError): ...


class LabelError(DeemoError): ...


class NotReleasable(DeemoError): ...


class DatasetError(DeemoError): ...
