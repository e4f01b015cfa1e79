"""Patch features to stages."""

from feat2go.clustering.fixed import Single, Uniform
from feat2go.clustering.trend import Trend

__all__ = ["Single", "Trend", "Uniform"]
