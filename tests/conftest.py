"""What the tests share: real footage, pulled weights, and a machine that may not ask the network."""

from __future__ import annotations

import os
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pytest
from hypothesis import HealthCheck, settings

from tests.makers.label_studio import label_studio  # noqa: F401

# A busy machine is no fault of the code, and a failure has to come again.
settings.register_profile("ours", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

REPO = Path(__file__).resolve().parents[1]
MEDIA = REPO.parent / "shared" / "media"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real test media: video/, audio/, label_studio/, models/. It is not part of the repository."""
    if not (MEDIA / "video").is_dir():
        pytest.skip("no real footage: put the test media into ../shared/media (see its PROVENANCE.md)")
    return MEDIA


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the pulled weights of the base group, each with its digest checked."""
    from deemo_data.errors import ModelError
    from deemo_data.models.runtime.weights import find_weights_folder, path_of, read_pinned

    try:
        for name, row in read_pinned().items():
            if row.group == "base":
                path_of(name)
    except ModelError as e:
        pytest.skip(f"{e.what}: type `deemo models pull`")
    return find_weights_folder()


BEGAN = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where a run has so many seconds for slow tests (DEEMO_SLOW_SECONDS, as in .ci/run), what would begin later is skipped."""
    limit = os.environ.get("DEEMO_SLOW_SECONDS")
    if limit and item.get_closest_marker("slow") and time.monotonic() - BEGAN > float(limit):
        pytest.skip("no time left in this run: make slow has it")
