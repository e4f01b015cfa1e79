"""Episodes on disk: readers, writers and training rows."""

from feat2go.data.damage import ReadableEpisodes
from feat2go.data.folder import FolderDataset
from feat2go.data.formats import open_dataset
from feat2go.data.hdf5 import DatasetError
from feat2go.data.info import DatasetInfo
from feat2go.data.lerobot import LeRobotDataset
from feat2go.data.maniskill import ManiSkillDataset, NoPicturesError, write_maniskill
from feat2go.data.windows import DemonstrationBatch, DemonstrationRows
from feat2go.data.writer import EpisodeWriter

__all__ = [
    "DatasetError",
    "DatasetInfo",
    "DemonstrationBatch",
    "DemonstrationRows",
    "EpisodeWriter",
    "FolderDataset",
    "LeRobotDataset",
    "ManiSkillDataset",
    "NoPicturesError",
    "ReadableEpisodes",
    "open_dataset",
    "write_maniskill",
]
