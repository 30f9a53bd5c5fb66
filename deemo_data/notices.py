"""Notice: something that deemo left out, guessed or changed although nobody asked for it.

A notice is not a failure: the source or clip goes on. But it is kept with the source or clip, counted, and shown to the user
(project/notices.py). Facts that hold notices have a name that ends in "notices".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

FACT_SUFFIX = "notices"


@dataclass(frozen=True)
class Notice:
    """One thing that was left out, guessed or changed.

    kind  what it is about, in snake_case: notices are counted by it
    text  one sentence with the figures, without names of people or files
    """

    kind: str
    text: str

    def to_fact(self) -> dict[str, str]:
        """The notice as a JSON value, for the facts of a source or clip."""
        return asdict(self)

    @property
    def subject(self) -> str:
        """The kind in words."""
        return self.kind.replace("_", " ")


def notices_of_facts(facts: dict[str, Any], names: Iterable[str] | None = None) -> list[Notice]:
    """The notices in the facts of a source or clip. `names`: only these facts count; all of them when it is None."""
    wanted = sorted(n for n in (facts if names is None else names) if n.endswith(FACT_SUFFIX) and n in facts)
    return [Notice(row["kind"], row["text"]) for name in wanted for row in facts[name]]
