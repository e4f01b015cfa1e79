"""Patch features to stages."""

from feat2go.clustering.contacts import Contacts
from feat2go.clustering.fixed import Single, Uniform
from feat2go.clustering.pelt import Pelt
from feat2go.clustering.strokes import Strokes
from feat2go.clustering.trend import Trend
from feat2go.clustering.trend_agglomerative import TrendAgglomerative
from feat2go.clustering.uvd import UVD

__all__ = ["UVD", "Contacts", "Pelt", "Single", "Strokes", "Trend", "TrendAgglomerative", "Uniform"]
