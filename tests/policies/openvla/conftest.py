import pytest
from checkpoints import make_openvla


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A checkpoint in the public layout with four patches per picture."""
    return make_openvla(tmp_path_factory.mktemp("tiny"))
