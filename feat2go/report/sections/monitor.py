"""Whether to believe it."""

from __future__ import annotations

from html import escape

from feat2go.report.checks import first_ratio, reward_hacking, separation
from feat2go.report.html import section
from feat2go.report.runs import Runs

_SIGNS = {"ok": "✓", "warning": "!", "unknown": "?"}


def monitor(runs: Runs) -> str:
    """What every RL run is asked before its success is believed."""
    fits = runs.fits_of("rl")
    if not fits:
        return ""
    results = [(fit, check(fit.metrics)) for fit in fits for check in (reward_hacking, separation, first_ratio)]
    lines = [
        f'<li class="{result.verdict}"><span class="sign" aria-hidden="true">{_SIGNS[result.verdict]}</span><div>'
        f"<strong>{escape(result.title)}{escape(f', {fit.name}') if len(fits) > 1 else ''}</strong> "
        f'<span class="verdict">{result.verdict}</span><br>{escape(result.text)}</div></li>'
        for fit, result in results
    ]
    return section("Checks", "checks", f'<ul class="checks">{"".join(lines)}</ul>')
