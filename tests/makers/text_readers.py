"""Makers that tests of several packages share; taken from models/text/test_ocr."""

from __future__ import annotations

import pytest

from deemo_data.errors import ModelError
from deemo_data.models.text import ocr


@pytest.fixture(scope="session")
def reader() -> ocr.Reader:
    try:
        return ocr.load_reader()
    except ModelError as e:
        pytest.skip(f"{e.what}: type `deemo models pull --group audit`")
