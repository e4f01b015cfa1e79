"""Shared types and pure tensor maths. numpy and torch only."""

from feat2go.core.protocols import (
    Algorithm,
    Clustering,
    Encoder,
    OnPolicyAlgorithm,
    Policy,
    RewardShaper,
    ValuePredictor,
    VectorEnv,
)
from feat2go.core.types import (
    Episode,
    EvaluationRow,
    FeatureTrack,
    Frames,
    Observation,
    PolicyBatch,
    PolicyEvaluation,
    PolicyOutput,
    ProgressTrack,
    Rollout,
    Stages,
    Step,
)

__all__ = [
    "Algorithm",
    "Clustering",
    "Encoder",
    "Episode",
    "EvaluationRow",
    "FeatureTrack",
    "Frames",
    "Observation",
    "OnPolicyAlgorithm",
    "Policy",
    "PolicyBatch",
    "PolicyEvaluation",
    "PolicyOutput",
    "ProgressTrack",
    "RewardShaper",
    "Rollout",
    "Stages",
    "Step",
    "ValuePredictor",
    "VectorEnv",
]
