import pytest
import torch
from checkpoints import make_openvla


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Networks this small only lose time to threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A checkpoint in the public layout with four patches per picture."""
    return make_openvla(tmp_path_factory.mktemp("tiny"))
