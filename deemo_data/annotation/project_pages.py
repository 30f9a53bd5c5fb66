"""The labelling pages and guides of a project: annotation_templates rendered with its vocabularies and settings, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.annotation.pages import checks, templates
from deemo_data.errors import LabelError
from deemo_data.project.project import load_vocabularies

if TYPE_CHECKING:
    from deemo_data.project.project import Project


def render_checked_page(project: Project, template: str) -> str:
    """The labelling config (XML) of a template. Raises LabelError for a faulty page, ConfigError for an unknown template."""
    nfbl, emotions = load_vocabularies(project)
    settings = project.config.labelling
    config = templates.render_page(template, nfbl, emotions, settings.size, annotators=settings.overlap)
    if faults := checks.find_faults(config, nfbl, emotions):
        raise LabelError(f"page {template}: {faults[0]}", "Mend annotation_templates, or the vocabulary that it is made from")
    return config


def render_project_guide(project: Project, template: str) -> str:
    """The guide for the annotators of a template, Markdown."""
    return templates.render_guide(template, *load_vocabularies(project))


def write_project_templates(project: Project, folder: Path) -> list[Path]:
    """Write every page, in both sizes, with its guide. Raises LabelError that names the template when a page is faulty."""
    return checks.write_templates(folder, *load_vocabularies(project), project.config.labelling.overlap)
