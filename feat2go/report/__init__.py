"""One self-contained HTML page of finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feat2go.report.page import write_report
    from feat2go.report.value_curves import value_curve_figure

__all__ = ["value_curve_figure", "write_report"]


def __getattr__(name: str) -> Any:
    # matplotlib and torch are loaded only by who draws.
    if name == "write_report":
        from feat2go.report.page import write_report

        return write_report
    if name == "value_curve_figure":
        from feat2go.report.value_curves import value_curve_figure

        return value_curve_figure
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
