"""Renders HTML pages from the templates in this folder. A page stands alone, and all text that is put into it is escaped."""

from __future__ import annotations

from importlib import resources
from typing import Any


def render_template(name: str, *context: dict[str, Any], **names: Any) -> str:
    """Fill in a template of this folder. A name that the template uses and that is missing raises jinja2.UndefinedError.

    context, names  what the template can use; several dicts are merged
    """
    import jinja2

    files = resources.files("deemo_data.reports")
    pages = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda file: files.joinpath(file).read_text("utf-8")), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return pages.get_template(name).render(*context, **names)
