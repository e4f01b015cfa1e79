"""``feat2go label DATASET``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from feat2go.cli.parsing import run_function
from feat2go.core.slots import Clustering, Encoder
from feat2go.data import open_dataset
from feat2go.encoders.cache import CachedEncoder
from feat2go.progress import label_episodes
from feat2go.progress.structural import Scope


def run(words: Sequence[str]) -> None:
    """Label a dataset; see :func:`label_dataset`."""
    run_function(label_dataset, words, positional=["dataset"])


def label_dataset(
    dataset: str,
    encoder: Callable[[], Encoder],
    clustering: Clustering,
    beta: float = 0.0,
    scope: Scope = "stage",
    output: str | None = None,
    pictures: str | None = None,
) -> None:
    """Turn demonstrations into progress targets: a parquet with episode, frame, stage, similarity and target.

    Args:
        dataset: folder or file of episodes.
        encoder: the visual world model whose patch features are compared.
        clustering: cuts an episode into stages.
        beta: weight of the patches' distance in the similarity; 0 is plain cosine.
        scope: ``stage`` or ``episode``: over what the similarity is normalised.
        output: the parquet; by default ``labels.parquet`` in or beside the dataset.
        pictures: folder for one picture per episode; none by default.
    """
    source = Path(dataset)
    beside = source / "labels.parquet" if source.is_dir() else source.with_suffix(".labels.parquet")
    label_episodes(
        open_dataset(source),
        CachedEncoder(encoder()),
        clustering,
        Path(output) if output else beside,
        beta=beta,
        scope=scope,
        pictures=Path(pictures) if pictures else None,
    )
