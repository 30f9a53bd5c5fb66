"""The errors that deemo_data raises on purpose.

DeemoError
├── ConfigError      deemo.toml or a command line holds something that cannot be understood
├── ProjectError     the project folder is not in the state a command needs
├── SourceError      footage cannot be taken in: it is missing, unreadable or not allowed
├── MediaError       a file is not the video or sound that it claims to be
├── ModelError       weights are missing or are not the pinned ones, or a language model does not answer
├── StageError       a stage did not make what it declares
├── LabelError       labels, or an export of labels, cannot be used
├── NotReleasable    a clip may not leave the machine
└── DatasetError     a dataset folder breaks its own rules
"""

from __future__ import annotations


def to_printable_line(text: str) -> str:
    """Text from outside, such as a file name, made safe for one line of a terminal.

    Characters that would control the terminal or reverse the line appear as escape codes; line breaks become blanks.
    """
    printable = "".join(c if c.isprintable() or c.isspace() else c.encode("unicode-escape").decode() for c in text)
    return " ".join(printable.split())


class DeemoError(Exception):
    """An error whose message is meant for the user.

    what    what went wrong, and with which file or clip
    advice  what to do or to type next
    """

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what, advice)  # both as args, so that the error can be pickled between processes
        self.what = to_printable_line(what)
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.what}. {to_printable_line(self.advice)}" if self.advice else self.what


class ConfigError(DeemoError): ...


class ProjectError(DeemoError): ...


class SourceError(DeemoError): ...


class MediaError(DeemoError): ...


class ModelError(DeemoError): ...


class StageError(DeemoError): ...


class LabelError(DeemoError): ...


class NotReleasable(DeemoError): ...


class DatasetError(DeemoError): ...
