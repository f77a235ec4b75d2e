"""The short form of `make fuzz`, the same inputs each time: the decoders take or refuse them."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
FROM_A_SHELL = ["/bin/sh", "-c", '"$0" "$@"; exit $?']
"""A process's peak of memory begins with that of whoever started it, and libFuzzer has a limit for
it: this worker may have had a model."""


@pytest.mark.timeout(120)
def test_no_decoder_raises_what_it_may_not(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    done = subprocess.run(
        [*FROM_A_SHELL, sys.executable, "-m", "tests.fuzz", "--runs", "2500", "--corpus", corpus],
        cwd=tmp_path,
        env={"PYTHONPATH": str(HERE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done" in done.stderr
    assert len(list(corpus.iterdir())) > 30  # it learned something
