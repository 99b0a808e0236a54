"""What tests of several rooms share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def smix_data() -> Path:
    """The folder of real data that ``SMIX_DATA`` names; tests that need it are skipped without it."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SMIX_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data: set SMIX_DATA to the folder of real data ({folder} is none)")
    return folder
