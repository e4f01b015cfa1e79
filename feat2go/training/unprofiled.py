"""No profile of a run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING = nullcontext("")


class Unprofiled(PassThroughProfiler):
    """Measures nothing, as Lightning's default does, without making a context for each call that it could measure.

    These are every hook of every callback, some seventy in a step, which a small policy's update would notice.
    """

    def profile(self, action_name: str) -> AbstractContextManager[str]:  # type: ignore[override]
        """For a ``with`` statement."""
        return _NOTHING
