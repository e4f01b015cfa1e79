"""Rewards that are paid once, at the end of an episode."""

from __future__ import annotations

from torch import Tensor


class TerminalValue:
    r"""A failure is worth how far it got.

    .. math:: R(s_T) = 1[\text{success}] + (1 - 1[\text{success}]) \, V_\theta(s_T)

    Feat2Go (arXiv 2605.30795), section 5 of our notes: the frozen value model looks at the terminal frame only; every
    other step has reward 0.
    """

    needs_value = True
    # V(s_T) already estimates what would have followed the time limit. With the critic's estimate on top, a failure
    # could be worth more than a success.
    replaces_bootstrap = True

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """Bool (E,), float (E,) in [0, 1] -> float32 (E,).

        Raises:
            ValueError: for shapes that don't match or values outside [0, 1].
        """
        _require_same_shape(success, terminal_value)
        value = terminal_value.float()
        # Negated so that NaN is refused too.
        if not bool(((value >= 0) & (value <= 1)).all()):
            raise ValueError(f"terminal values lie in [0, 1]; got {value.min():.4g} to {value.max():.4g}")
        return value.masked_fill(success.bool(), 1.0)


class Sparse:
    """1 for success, else 0. The simulator's time limit is no failure: the critic bootstraps there."""

    needs_value = False
    replaces_bootstrap = False

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """Bool (E,), ignored (E,) -> float32 (E,)."""
        _require_same_shape(success, terminal_value)
        return success.float()


def _require_same_shape(success: Tensor, terminal_value: Tensor) -> None:
    if success.shape != terminal_value.shape or success.ndim != 1:
        raise ValueError(
            f"success and terminal_value are both (E,); got {tuple(success.shape)} and {tuple(terminal_value.shape)}"
        )
