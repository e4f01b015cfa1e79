"""From stages to a progress target, and how good the target is."""

from feat2go.core.ordering import pair_accuracy, voc
from feat2go.core.similarity import patch_similarity
from feat2go.core.slope import local_slope
from feat2go.progress.boundaries import boundary_f1
from feat2go.progress.label import LabelSummary, label_episodes
from feat2go.progress.structural import structural_progress
from feat2go.progress.table import join_labels, read_label_metadata, read_labels

__all__ = [
    "LabelSummary",
    "boundary_f1",
    "join_labels",
    "label_episodes",
    "local_slope",
    "pair_accuracy",
    "patch_similarity",
    "read_label_metadata",
    "read_labels",
    "structural_progress",
    "voc",
]
