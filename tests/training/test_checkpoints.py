import os
import pickle

import pytest
import torch

from torchdyn_neuro.training import PlainCheckpoints, load_checkpoint
from torchdyn_neuro.training.checkpoints import replacing, sweep

GOOD = {"state_dict": {"w": torch.ones(100)}, "config": {"a": 1}}


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /nowhere/hostile",)


def test_round_trip_leaves_no_temporary_file(tmp_path):
    PlainCheckpoints().save_checkpoint(GOOD, tmp_path / "a.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]
    assert torch.equal(load_checkpoint(tmp_path / "a.ckpt")["state_dict"]["w"], torch.ones(100))


def test_failed_write_keeps_the_earlier_checkpoint(tmp_path):
    path = tmp_path / "a.ckpt"
    PlainCheckpoints().save_checkpoint(GOOD, path)
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)):
        PlainCheckpoints().save_checkpoint({"state_dict": lambda: None}, path)
    assert load_checkpoint(path)["config"] == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_truncated(tmp_path):
    path = tmp_path / "a.ckpt"
    PlainCheckpoints().save_checkpoint(GOOD, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="truncated"):
        load_checkpoint(path)


def test_objects_are_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({**GOOD, "hostile": Hostile()}, path)
    with pytest.raises(ValueError, match="do not trust this file"):
        load_checkpoint(path)


def test_missing_and_foreign(tmp_path):
    with pytest.raises(FileNotFoundError, match="check the path"):
        load_checkpoint(tmp_path / "none.ckpt")
    torch.save({"weights": torch.ones(1)}, tmp_path / "b.ckpt")
    with pytest.raises(ValueError, match="without weights and configuration"):
        load_checkpoint(tmp_path / "b.ckpt")


def test_a_file_swept_away_while_it_is_written_is_written_again(tmp_path, monkeypatch):
    """A run that starts sweeps the folders of its neighbours, one of which may be at work."""
    save, calls = torch.save, []

    def swept(checkpoint, file):
        save(checkpoint, file)
        calls.append(file)
        if len(calls) == 1:
            sweep(tmp_path)

    monkeypatch.setattr(torch, "save", swept)
    PlainCheckpoints().save_checkpoint(GOOD, tmp_path / "a.ckpt")
    assert len(calls) == 2
    assert load_checkpoint(tmp_path / "a.ckpt")["config"] == {"a": 1}


def test_sweeping_removes_what_is_unfinished_only(tmp_path):
    for name in (".last.ckpt.tmp", ".best.ckpt.x1y2", "last.ckpt", "epoch=1.ckpt", ".hidden"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "epoch=1.ckpt", "last.ckpt"]


def test_a_missing_folder_ends(tmp_path):
    with pytest.raises(FileNotFoundError):
        replacing(tmp_path / "nowhere/a.ckpt", lambda temporary: None)


def test_others_may_read_a_checkpoint(tmp_path):
    """As any file that the user makes."""
    (tmp_path / "plain").touch()
    PlainCheckpoints().save_checkpoint(GOOD, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").stat().st_mode == (tmp_path / "plain").stat().st_mode
