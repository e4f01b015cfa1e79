import pytest

from feat2go.data import (
    DatasetError,
    EpisodeWriter,
    FolderDataset,
    ManiSkillDataset,
    open_dataset,
    write_maniskill,
)


def test_the_format_is_told_by_what_is_there(tmp_path, info, make_episode):
    EpisodeWriter(tmp_path / "folder", info).write(make_episode())
    write_maniskill(tmp_path / "file.h5", [make_episode()], control_mode="pd_ee_delta_pos")
    assert isinstance(open_dataset(tmp_path / "folder"), FolderDataset)
    assert isinstance(open_dataset(str(tmp_path / "file.h5")), ManiSkillDataset)


def test_an_unknown_format_names_the_known_ones(tmp_path):
    with pytest.raises(
        DatasetError, match=r"none of the known formats: folder \(one \.h5 per.*; maniskill \(ManiSkill"
    ):
        open_dataset(tmp_path)


def test_nothing_is_named(tmp_path):
    with pytest.raises(DatasetError, match="nowhere: no such file or folder"):
        open_dataset(tmp_path / "nowhere")


def test_a_registered_format_is_asked_too(tmp_path, monkeypatch):
    class Notes(list):
        @classmethod
        def detect(cls, path):
            return path.suffix == ".notes"

    monkeypatch.setattr("feat2go.data.formats.FORMATS.get", lambda name: Notes)
    (tmp_path / "a.notes").write_text("")
    monkeypatch.setattr(Notes, "__init__", lambda self, path: None)
    assert isinstance(open_dataset(tmp_path / "a.notes"), Notes)
