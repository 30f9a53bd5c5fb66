"""The body track that may be published: the subject's, without the points on the face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deemo_data.clip import Clip, Facts


@dataclass(frozen=True)
class PublishBody:
    """Makes `public_body`: 22 body and 2 x 21 hand points a frame."""

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("body",)
    makes: ClassVar[dict[str, str]] = {"public_body": "body.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data import tracks

        body = tracks.read_body(clip.path("body"))
        tracks.write_body(body.without_face(), out / self.makes["public_body"])
        return {}
