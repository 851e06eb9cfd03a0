from pathlib import Path

import pytest

from working_copy import WorkingCopy, fresh_copy


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    """A fresh working copy: one tiny dataset, two fake engines, two repetitions."""
    return fresh_copy(tmp_path)
