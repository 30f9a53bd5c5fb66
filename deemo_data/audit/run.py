"""`deemo audit`: runs every attack on clips of both profiles and writes out/privacy.json and out/privacy.html.

A clip is attacked as it was before (the original) and as each profile released it. The other profile's files are made in
private/store and never released. A channel whose model is missing is reported as not attacked; the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deemo_data.audit.body import attack_body
from deemo_data.audit.face import attack_face
from deemo_data.audit.material import ChannelResult, Material
from deemo_data.audit.report import describe_material, list_closest_clips, render_still
from deemo_data.audit.sample import digest_models, gather_material
from deemo_data.audit.voice import attack_voice
from deemo_data.audit.words import attack_metadata, attack_names, attack_screen
from deemo_data.errors import ModelError
from deemo_data.files import write_if_changed
from deemo_data.pipeline.run import SILENT_WATCHER, Watcher
from deemo_data.project import problems, withdrawals
from deemo_data.project.project import Project
from deemo_data.reports import privacy


def run_audit(
    project: Project,
    *,
    models: Sequence[Path] = (),
    both: bool = True,
    clips_per_subject: int = 10,
    workers: int = 2,
    watcher: Watcher = SILENT_WATCHER,
) -> tuple[dict[str, Any], list[problems.Problem]]:
    """Run every attack and write both reports. Returns the content of privacy.json and the clips that could not be attacked.

    models  ONNX files in the format of InsightFace: recognisers and face detectors
    both    also make masks and voices of the other profile for the same clips, in private/, and attack these
    clips_per_subject  0 means all
    """
    withdrawn = withdrawals.read_marks(project)
    material = gather_material(project, digest_models(models), both, clips_per_subject, workers, watcher)
    channels: dict[str, dict[str, Any]] = {}
    worst: dict[str, tuple[float, int, str]] = {}
    work: dict[str, Callable[[Material], ChannelResult]] = CHANNELS
    for name, attack in work.items():
        began = time.monotonic()
        try:
            result = attack(material)
        except ModelError as e:  # its text may hold a path, so it goes to the terminal and not into the report
            material.missing.append(problems.Problem(f"channel {name}", "audit", e.what, e.advice))
            result = ChannelResult(notes=["Not attacked: a model is not here. The command says which, and what to type."])
        worst |= result.worst
        channels[name] = result.to_json(material.sides, time.monotonic() - began)
    report = describe_material(material, clips_per_subject) | {"channels": channels} | list_closest_clips(material, worst)
    stills = {row["clip"]: render_still(material, row["clip"], row["frame"]) for row in report["closest"]}
    with withdrawals.unless_withdrawn(project, withdrawn, [c for side in material.sides.values() for c in side]):
        project.write_report("privacy.json", report)
        write_if_changed(project.out_dir / "privacy.html", privacy.render_page(report, stills))
    return report, material.missing


CHANNELS: dict[str, Callable[[Material], ChannelResult]] = {
    "face": attack_face,
    "voice": attack_voice,
    "names": attack_names,
    "screen": attack_screen,
    "body": attack_body,
    "metadata": attack_metadata,
}
