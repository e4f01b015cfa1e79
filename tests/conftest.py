import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks this small only lose time to threads that wait for each other."""
    torch.set_num_threads(1)
