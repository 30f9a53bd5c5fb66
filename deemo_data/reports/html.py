"""Renders the pages that people look at, out/*.html: each stands alone, and what is put into it is escaped."""

from __future__ import annotations

from importlib import resources
from typing import Any


def render(name: str, *said: dict[str, Any], **more: Any) -> str:
    """A template of this package, filled in. A name that it asks for and nobody gives is an error."""
    import jinja2

    files = resources.files("deemo_data.reports")
    pages = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda file: files.joinpath(file).read_text("utf-8")), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return pages.get_template(name).render(*said, **more)
