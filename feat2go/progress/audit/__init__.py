"""Do stages and targets mean anything? Measures against milestones, order, failures, robustness, consistency."""

from feat2go.progress.audit.bootstrap import Estimate
from feat2go.progress.audit.methods import Constant, Given, Labelled, Method, Reversed, Shuffled, StepsToGo, Structural
from feat2go.progress.audit.milestones import motion_phases, read_milestones, simulator_milestones
from feat2go.progress.audit.run import Audit, audit
from feat2go.progress.audit.sample import Sample

__all__ = [
    "Audit",
    "Constant",
    "Estimate",
    "Given",
    "Labelled",
    "Method",
    "Reversed",
    "Sample",
    "Shuffled",
    "StepsToGo",
    "Structural",
    "audit",
    "motion_phases",
    "read_milestones",
    "simulator_milestones",
]
