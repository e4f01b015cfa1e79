"""Episodes on disk: readers, writers and training rows."""

from feat2go.data.folder import FolderDataset
from feat2go.data.hdf5 import DatasetError
from feat2go.data.info import DatasetInfo
from feat2go.data.writer import EpisodeWriter

__all__ = ["DatasetError", "DatasetInfo", "EpisodeWriter", "FolderDataset"]
