from pathlib import Path

import pytest

from fake_image import fake_base, locked_engines, why_no_container
from stand_in_driver import stand_in, stand_in_libraries
from working_copy import WorkingCopy, fresh_copy

__all__ = ["stand_in", "stand_in_libraries"]


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    """A fresh working copy: one tiny dataset, two fake engines, two repetitions."""
    return fresh_copy(tmp_path)


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """A working copy whose one made engine has its image; nothing is trained yet."""
    if reason := why_no_container():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("contained")
    copy = fresh_copy(folder / "copy")
    copy.settings |= {"engines": locked_engines(copy.root)[:1], "repetitions": 1}
    copy.calibrated("apptainer")
    copy.variables = fake_base(folder / "base")
    # In an invocation that makes an image the sampler is calibrated anew, which takes half a minute.
    copy.call("--cores", "1", "containers")
    return copy
