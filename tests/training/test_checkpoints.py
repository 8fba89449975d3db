import os
import pickle

import pytest
import torch

from torchdyn_neuro.training import PlainCheckpoints, load_checkpoint

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
