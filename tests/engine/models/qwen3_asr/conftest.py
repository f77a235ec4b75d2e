"""Tests run side by side: one core for each."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """More would wait for each other."""
    torch.set_num_threads(1)
