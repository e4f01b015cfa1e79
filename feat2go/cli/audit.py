"""``feat2go audit DATASET --output DIR``."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from feat2go import __version__
from feat2go.cli.parsing import run_function
from feat2go.core import weights
from feat2go.core.slots import Encoder
from feat2go.core.types import Episode
from feat2go.encoders.cache import CachedEncoder
from feat2go.progress.audit import (
    Audit,
    Constant,
    Estimate,
    Given,
    Method,
    Reversed,
    Sample,
    Shuffled,
    StepsToGo,
    Structural,
    audit,
    motion_phases,
    read_milestones,
    simulator_milestones,
)
from feat2go.progress.audit.files import write_audit, write_estimates
from feat2go.progress.audit.robustness import robustness
from feat2go.progress.audit.scores import Cutter
from feat2go.progress.structural import Scope
from feat2go.registry import CLUSTERING, ENCODERS, UnknownNameError
from feat2go.rollouts.progress_bar import progress_bar
from feat2go.rollouts.replay import open_recording
from feat2go.rollouts.variations import perturbations
from feat2go.values.frozen import FrozenValue

# In the order of the table; all others are compared with the first.
CLUSTERINGS = ("strokes", "contacts", "trend", "trend_agglomerative", "uvd", "pelt", "uniform", "single")
CONTROLS = ("steps_to_go", "constant", "shuffled", "reversed")
# What is tried, in this order, where no encoder is named.
PREFERRED_ENCODERS = ("dinov2_small", "mobilenet_v2")


def run(words: Sequence[str]) -> None:
    """Audit a dataset; see :func:`audit_dataset`."""
    run_function(audit_dataset, _joined(words, "--method"), positional=["dataset"])


def audit_dataset(
    dataset: str,
    output: str,
    milestones: str | None = None,
    method: list[str] | None = None,
    encoder: Callable[[], Encoder] | None = None,
    value_model: str | None = None,
    beta: float = 0.0,
    scope: Scope = "stage",
    max_episodes: int = 32,
    perturbed_episodes: int = 0,
    rendered_anew: bool = False,
    skip_damaged: bool = False,
) -> None:
    """Measure how well stages and progress targets agree with milestones; write tables, plots and a page.

    Args:
        dataset: folder or file of episodes; of a ManiSkill .h5 without pictures, they are rendered from its states.
        output: folder for summary.json, audit.html, episodes.parquet, labels/ and plots/.
        milestones: CSV with the columns episode, frame, milestone; by default the simulator's, or phases of the motion.
        method: clusterings by name, and steps_to_go, constant, shuffled, reversed, value; by default all there are.
        encoder: whose patch features are compared; by default the best one whose weights are here.
        value_model: folder of a value model whose predictions are audited as the method ``value``.
        beta: weight of the patches' distance in the similarity; 0 is plain cosine.
        scope: ``stage`` or ``episode``: over what the similarity is normalised.
        max_episodes: successful episodes of each task that are looked at, and failed ones; 0 for all.
        perturbed_episodes: of each task, how many are also seen with noise, other light and colours, a moved camera and
            distractors, at three severities, for robustness.json; each takes 15 times as long to encode as without.
        rendered_anew: of these episodes, render the same states as well, with other lights, among distractors and from
            another view; for episodes that ``feat2go collect`` recorded in ManiSkill's own tasks.
        skip_damaged: leave out episodes that can't be read, naming them, rather than stop.
    """
    chosen = _chosen(method, value_model)
    episodes = list(_first_of_each_task(open_recording(dataset, skip_damaged), max_episodes))
    references, source = _references(episodes, milestones)
    cached = CachedEncoder(encoder() if encoder else _default_encoder())
    samples, failed = _encode(episodes, references, cached)
    with progress_bar("auditing", len(chosen)) as update:
        methods = _methods(chosen, beta, scope, episodes, value_model)
        done = iter(range(1, len(methods) + 1))
        found = audit(samples, methods, _cutters(), failed, on_method=lambda name: update(next(done), name))
    about = {
        "version": __version__,
        "dataset": dataset,
        "milestones": milestones or source,
        "encoder": cached.fingerprint,
        "beta": beta,
        "scope": scope,
        "num_successes": len(samples),
        "num_failures": len(failed),
    }
    write_audit(found, output, about)
    if perturbed_episodes > 0:
        measured = _robustness(episodes, samples, methods, cached, perturbed_episodes, value_model, rendered_anew)
        write_estimates(Path(output) / "robustness.json", measured)
    # Matplotlib is loaded when everything else is safe on disk.
    from feat2go.report.audit import write_audit_page

    write_audit_page(found, Path(output), about)
    print(_table(found))
    print(f"{len(samples)} successful episodes, {len(failed)} failed; compared with {milestones or source}")
    print(f"{Path(output) / 'audit.html'}")


def _joined(words: Sequence[str], option: str) -> list[str]:
    """``--method a b --method c`` as one list, as YAML would give it."""
    rest: list[str] = []
    values: list[str] = []
    taking = False
    for word in words:
        if word == option:
            taking = True
        elif word.startswith(f"{option}="):
            values.append(word.partition("=")[2])
        elif taking and not word.startswith("-"):
            values.append(word)
        else:
            taking = False
            rest.append(word)
    names = [name.strip() for value in values for name in value.strip("[]").split(",") if name.strip()]
    return rest + ([f"{option}=[{', '.join(names)}]"] if values else [])


def _chosen(names: Sequence[str] | None, value_model: str | None) -> list[str]:
    if names is None:
        found = [name for name in (*CLUSTERINGS, *CONTROLS) if name != "pelt" or importlib.util.find_spec("ruptures")]
        return found + (["value"] if value_model else [])
    known = [*CLUSTERING.names(), *CONTROLS, "value"]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise UnknownNameError(f"unknown method '{name}'.{hint} Known: {', '.join(known)}.")
    if "value" in names and value_model is None:
        raise ValueError("the method 'value' needs --value_model, the folder of a value model")
    if "pelt" in names and not importlib.util.find_spec("ruptures"):
        raise ValueError("the method 'pelt' needs ruptures: pip install 'feat2go[audit]'")
    if not names:
        raise ValueError("--method needs at least one name")
    return list(dict.fromkeys(names))


def _first_of_each_task(episodes: Sequence[Episode], limit: int) -> Iterator[Episode]:
    """At most ``limit`` successes and as many failures of every task, and none of the rest is read twice."""
    if limit < 0:
        raise ValueError(f"max_episodes must be at least 0; got {limit}")
    counts: dict[tuple[str, bool], int] = {}
    for episode in episodes:
        key = (episode.env_id, episode.success)
        counts[key] = counts.get(key, 0) + 1
        if limit == 0 or counts[key] <= limit:
            yield episode


def _references(episodes: Sequence[Episode], path: str | None) -> tuple[dict[str, dict[str, int]], str]:
    """Uid -> milestones, and in words what they are."""
    if path is not None:
        return read_milestones(path, {episode.uid: len(episode) for episode in episodes}), path
    found = {episode.uid: simulator_milestones(episode) for episode in episodes}
    # Of a task that nothing is known of, the simulator tells success only, in the last frame.
    if any(0 < frame < len(episode) - 1 for episode in episodes for frame in found[episode.uid].values()):
        return found, "the simulator's milestones"
    return {e.uid: motion_phases(e.actions) for e in episodes}, "phases of gripper and arm motion (no milestones given)"


def _default_encoder() -> Encoder:
    for name in PREFERRED_ENCODERS:
        if weights.is_present(name):
            found: Encoder = ENCODERS.get(name)()
            return found
    print(f"no pretrained weights are here, so raw pixels are compared; feat2go weights get {PREFERRED_ENCODERS[0]}")
    pixels: Encoder = ENCODERS.get("pixels")()
    return pixels


def _encode(
    episodes: Sequence[Episode], references: dict[str, dict[str, int]], encoder: CachedEncoder
) -> tuple[list[Sample], list[Sample]]:
    """Successful and failed episodes with their features."""
    samples: dict[bool, list[Sample]] = {True: [], False: []}
    with progress_bar("encoding", len(episodes)) as update:
        for number, episode in enumerate(episodes, start=1):
            features = encoder.encode_episode(torch.from_numpy(_frames(episode))).features
            own = references.get(episode.uid, {})
            samples[episode.success].append(Sample(episode.uid, episode.env_id, features, own))
            update(number, episode.uid)
    return samples[True], [sample for sample in samples[False] if sample.task in {s.task for s in samples[True]}]


def _frames(episode: Episode) -> np.ndarray:
    return np.asarray(next(iter(episode.frames.values()))[:])


def _methods(
    names: Sequence[str], beta: float, scope: Scope, episodes: Sequence[Episode], value_model: str | None
) -> dict[str, Method]:
    structural = [Structural(CLUSTERING.get(name)(), beta, scope) for name in names if name in CLUSTERING]
    # What the controls shuffle and turn around.
    first: Method = structural[0] if structural else StepsToGo()
    methods: dict[str, Method] = {
        "steps_to_go": StepsToGo(),
        "constant": Constant(),
        "shuffled": Shuffled(first),
        "reversed": Reversed(first),
    }
    methods |= dict(zip([name for name in names if name in CLUSTERING], structural, strict=True))
    if "value" in names:
        assert value_model is not None
        methods["value"] = Given(_predictions(episodes, FrozenValue.load(value_model)))
    return {name: methods[name] for name in names}


def _predictions(episodes: Sequence[Episode], predictor: FrozenValue) -> dict[str, np.ndarray]:
    return {
        episode.uid: predictor.predict(torch.from_numpy(_frames(episode)), [episode.instruction] * len(episode)).numpy()
        for episode in episodes
    }


def _cutters() -> dict[str, Cutter]:
    """Other ways to make as many stages."""
    cutters: dict[str, Cutter] = {
        "uniform": lambda num_stages: CLUSTERING.get("uniform")(num_stages=num_stages),
        "uvd": lambda num_stages: CLUSTERING.get("uvd")(max_stages=num_stages),
    }
    if importlib.util.find_spec("ruptures"):
        cutters["change_point"] = lambda num_stages: CLUSTERING.get("pelt")(num_stages=num_stages)
    return cutters


def _robustness(
    episodes: Sequence[Episode],
    samples: Sequence[Sample],
    methods: Mapping[str, Method],
    encoder: CachedEncoder,
    num_episodes: int,
    value_model: str | None,
    rendered_anew: bool,
) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Method -> perturbation and severity, e.g. ``"light 2"`` -> metric, on the first episodes of each task."""
    chosen: list[Sample] = []
    for task in dict.fromkeys(sample.task for sample in samples):
        chosen += [sample for sample in samples if sample.task == task][:num_episodes]
    by_uid = {episode.uid: episode for episode in episodes}
    clean = [by_uid[sample.uid] for sample in chosen]
    seen_methods = {name: method for name, method in methods.items() if name in CLUSTERING or name == "value"}
    predictor = FrozenValue.load(value_model) if value_model and "value" in methods else None
    measured: dict[str, dict[str, dict[str, Estimate]]] = {name: {} for name in seen_methods}
    ways = perturbations(rendered_anew)
    with progress_bar("perturbing", len(ways)) as update:
        for number, (way, perturb) in enumerate(ways.items(), start=1):
            seen = [
                replace(episode, frames={"base": frames}) for episode, frames in zip(clean, perturb(clean), strict=True)
            ]
            features = [encoder.encode_episode(torch.from_numpy(_frames(own))).features for own in seen]
            # A value model sees the perturbed pictures themselves.
            perturbed = {"value": Given(_predictions(seen, predictor))} if predictor else {}
            for name, method in seen_methods.items():
                measured[name][way] = robustness(chosen, features, method, perturbed.get(name))
            update(number, way)
    return measured


def _table(found: Audit) -> str:
    columns = ("voc", "pair_accuracy", "boundary_f1", "boundary_f1_uniform", "milestone_spread", "elapsed_spread")
    lines = [" ".join([f"{'method':20}", *(f"{name:>20}" for name in columns)])]
    for method, own in found.estimates.items():
        cells = [f"{own[name].mean:20.3f}" if name in own else f"{'–':>20}" for name in columns]
        lines.append(" ".join([f"{method:20}", *cells]))
    return "\n".join(lines)
