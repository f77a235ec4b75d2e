"""A gateway may be connected to by as many as its limits say, whatever it was started by."""

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from gateway.listening import MOST_DESCRIPTORS, allow_connections
soft, hard = {before}
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_connections()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize("before", [(256, 4096), (4096, 4096), (1024, 1 << 14)])
def test_a_process_takes_as_many_descriptors_as_it_may(before: tuple[int, int]) -> None:
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert allowed == resource.RLIM_INFINITY or allowed >= before[1]

    said = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert said.stdout.split() == [str(before[1])] * 2
