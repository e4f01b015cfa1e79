"""Value curves over real episodes."""

from __future__ import annotations

from html import escape

from feat2go.report.drawing import data_uri
from feat2go.report.episodes import ShownEpisode, shown_demonstrations, shown_failures
from feat2go.report.html import missing, paragraph, picture, section
from feat2go.report.predictors import UNREADABLE, Predictors
from feat2go.report.runs import Evaluation, Runs
from feat2go.report.text import count, number
from feat2go.report.value_curves import value_curve_figure


def values(runs: Runs) -> str:
    """A few demonstrations and a few failures, frame by frame."""
    predictors = Predictors(runs)
    html = _demonstrations(runs, predictors) + _failures(runs, predictors)
    if not runs.value_models:
        lead = missing("No value model was found.", "feat2go fit --config configs/value_TASK.yaml")
    else:
        lead = "".join(map(missing, predictors.problems))
    if predictors.folders:
        models = " and ".join(map(str, predictors.folders))
        text = f"Predictions are those of {models}. Episodes are the first of their kind, not chosen by their looks."
        lead += paragraph(text, "note")
    return section("Value curves", "values", lead + html)


def _demonstrations(runs: Runs, predictors: Predictors) -> str:
    if not runs.demonstrations:
        return missing("No demonstrations were found.", "feat2go collect --config configs/collect_TASK.yaml")
    html = ""
    for one in runs.demonstrations:
        if one.labels is None:
            html += missing(f"{one.path} has no progress targets.", f"feat2go label {one.path} --config FILE")
        try:
            shown = shown_demonstrations(one, runs.fits_of("value"), predictors.of(one.info.env_id))
        except UNREADABLE as error:
            html += missing(f"The episodes of {one.path} can't be shown: {error}")
        else:
            html += "".join(map(_episode, shown))
    return f"<h3>Demonstrations</h3>{html}"


def _failures(runs: Runs, predictors: Predictors) -> str:
    return "".join(_failures_of(evaluation, runs, predictors) for evaluation in _last_evaluations(runs))


def _failures_of(evaluation: Evaluation, runs: Runs, predictors: Predictors) -> str:
    predictor = predictors.of(evaluation.task)
    if predictor is None:
        return ""
    sizes = {one.info.env_id: one.info.image_size for one in runs.demonstrations}
    try:
        shown = shown_failures(evaluation, sizes.get(evaluation.task), predictor)
    except UNREADABLE as error:
        return missing(f"The videos of {evaluation.path} can't be shown: {error}")
    if not shown:
        return missing(f"{evaluation.path} has no video of a failed episode, so none is shown.")
    return f"<h3>Failed episodes of the policy, {escape(evaluation.name)}</h3>{''.join(map(_episode, shown))}"


def _last_evaluations(runs: Runs) -> list[Evaluation]:
    """One for each task: the policy after reinforcement learning, where it was evaluated."""
    return list({evaluation.task: evaluation for evaluation in runs.evaluations}.values())


def _episode(shown: ShownEpisode) -> str:
    episode = shown.episode
    ends = [
        f"{name} from {number(float(curve[0]))} to {number(float(curve[-1]))}"
        for name, curve in (("progress target", shown.target), ("predicted value", shown.prediction))
        if curve is not None
    ]
    alt = f"{count(len(episode), 'frame')} of “{episode.instruction}”; {'; '.join(ends)}."
    caption = f"<strong>“{escape(episode.instruction)}”</strong> {escape(episode.uid)}; {escape(shown.note)}."
    figure = value_curve_figure(episode, shown.target, shown.prediction)
    return picture(data_uri(figure), alt, caption, "episode")
