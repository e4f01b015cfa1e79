import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# Some set them before they import numpy.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    """Importable, as they are for each other when one is run; and nothing global is left behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        patch.setattr(sys, "argv", ["feat2go"])
        for variable in THREADS:
            patch.setenv(variable, "1")
        patch.setenv("PL_GLOBAL_SEED", "0")
        yield BENCHMARKS
