"""Checkpoints that are whole or not there."""

import os
import resource

import pytest
import torch

from feat2go.training.checkpoints import AtomicCheckpointIO, read_checkpoint, require_same_config

SIZE = 100_000


@pytest.fixture
def folder(tmp_path):
    """With a checkpoint in it."""
    AtomicCheckpointIO().save_checkpoint(
        {"state_dict": {"weight": torch.ones(SIZE)}, "epoch": 1}, tmp_path / "last.ckpt"
    )
    return tmp_path


@pytest.fixture
def small_disk():
    """No file may grow above a tenth of a checkpoint: what a full disk looks like to who writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 10, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save(folder, **more):
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"weight": torch.zeros(SIZE)}, **more}, folder / "last.ckpt")


def test_a_checkpoint_that_can_not_be_written_leaves_the_one_before(folder, small_disk):
    with pytest.raises(OSError, match=r"last.ckpt can't be written: .*It is as it was before"):
        save(folder)
    assert read_checkpoint(folder / "last.ckpt")["epoch"] == 1
    assert [path.name for path in folder.iterdir()] == ["last.ckpt"]


def test_nor_does_one_in_a_folder_that_can_not_be_written_to(folder):
    if os.geteuid() == 0:
        # Nothing is read-only to root, so a file takes the folder's place.
        with pytest.raises(OSError, match=r"can't be written: (Not a directory|File exists)"):
            save(folder / "last.ckpt")
    else:
        folder.chmod(0o500)
        with pytest.raises(OSError, match="can't be written: Permission denied"):
            save(folder)
        folder.chmod(0o700)
    assert read_checkpoint(folder / "last.ckpt")["epoch"] == 1


def test_a_newer_one_replaces_it(folder):
    save(folder, epoch=2)
    assert read_checkpoint(folder / "last.ckpt")["epoch"] == 2


def test_half_a_file_is_refused_and_the_others_are_named(folder):
    whole = (folder / "last.ckpt").read_bytes()
    half = folder / "half.ckpt"
    half.write_bytes(whole[: len(whole) // 2])
    (folder / ".last.host.1.partial.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"half.ckpt is damaged or no checkpoint \(.*beside [^ ]*/last.ckpt$"):
        AtomicCheckpointIO().load_checkpoint(half)


def test_other_files_are_refused(folder):
    torch.save({"weight": torch.ones(1)}, folder / "weights.ckpt")
    with pytest.raises(ValueError, match="no checkpoint of a training: it has no state_dict"):
        read_checkpoint(folder / "weights.ckpt")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint .*nowhere.ckpt"):
        read_checkpoint(folder / "nowhere.ckpt")


def test_a_checkpoint_of_another_policy_is_refused():
    config = {"model_type": "tiny_vla", "width": 16, "path": "here"}
    require_same_config(config, {**config, "path": "moved"})
    with pytest.raises(ValueError, match="of another config: width is 16 there and 32 here"):
        require_same_config(config, {**config, "width": 32})
    with pytest.raises(ValueError, match="model_type is 'tiny_vla' there and 'openvla' here"):
        require_same_config(config, {**config, "model_type": "openvla"})
    with pytest.raises(ValueError, match="holds no policy"):
        require_same_config(None, config)
