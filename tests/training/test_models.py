"""A run in a new folder goes on with the best models of the one before."""

import shutil
import warnings
from types import SimpleNamespace

import pytest
import torch

from torchdyn_neuro.training import PlainCheckpoints, load_checkpoint
from torchdyn_neuro.training.callbacks import BestModel, LastModel


def saved(folder, name, score, callback):
    """Write a checkpoint as a run does, whose validation loss was ``score``."""
    state = {**callback.state_dict(), "current_score": torch.tensor(score)}
    content = {"state_dict": {"w": torch.tensor(score)}, "config": {}, "callbacks": {callback.state_key: state}}
    PlainCheckpoints().save_checkpoint(content, folder / name)
    return str(folder / name)


def before(tmp_path, scores, **options):
    """The folder and the last checkpoint of a run with the best models ``scores``."""
    folder = tmp_path / "first/checkpoints"
    callback = BestModel(dirpath=str(folder), monitor="val/loss", **options)
    paths = {saved(folder, name, score, callback): torch.tensor(score) for name, score in scores.items()}
    state = {**callback.state_dict(), "best_k_models": paths, "best_model_path": next(iter(paths))}
    return folder, {"callbacks": {callback.state_key: state}}


def go_on(tmp_path, checkpoint, ckpt_path, **options):
    callback = BestModel(dirpath=str(tmp_path / "second/checkpoints"), monitor="val/loss", **options)
    trainer = SimpleNamespace(ckpt_path=str(ckpt_path), is_global_zero=True)
    callback.on_load_checkpoint(trainer, None, checkpoint)
    state = checkpoint["callbacks"].get(callback.state_key)
    if state is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            callback.load_state_dict(state)
    return callback


@pytest.mark.parametrize(("mode", "best", "worst"), [("min", "a", "b"), ("max", "b", "a")])
def test_best_models_are_copied_with_their_scores(tmp_path, mode, best, worst):
    folder, checkpoint = before(tmp_path, {"a.ckpt": 0.5, "b.ckpt": 0.75}, mode=mode, save_top_k=2)
    callback = go_on(tmp_path, checkpoint, folder / "last.ckpt", mode=mode, save_top_k=2)
    own = tmp_path / "second/checkpoints"
    assert sorted(path.name for path in own.iterdir()) == ["a.ckpt", "b.ckpt"]
    assert callback.best_model_path == str(own / f"{best}.ckpt")
    assert callback.best_model_score == {"a": 0.5, "b": 0.75}[best]
    assert callback.kth_best_model_path == str(own / f"{worst}.ckpt")
    assert load_checkpoint(callback.best_model_path)["state_dict"]["w"] == callback.best_model_score


def test_a_folder_that_was_moved(tmp_path):
    folder, checkpoint = before(tmp_path, {"best.ckpt": 0.5})
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    assert go_on(tmp_path, checkpoint, moved / "last.ckpt").best_model_score == 0.5


def test_a_model_that_is_newer_than_the_last_checkpoint_is_taken_as_it_is(tmp_path):
    folder, checkpoint = before(tmp_path, {"best.ckpt": 0.5})
    saved(folder, "best.ckpt", 0.25, BestModel(monitor="val/loss"))
    callback = go_on(tmp_path, checkpoint, folder / "last.ckpt")
    assert callback.best_model_score == 0.25


@pytest.mark.parametrize("broken", ["missing", "worse", "damaged"])
def test_a_best_model_that_is_not_there_is_told(tmp_path, broken):
    folder, checkpoint = before(tmp_path, {"best.ckpt": 0.5})
    path = folder / "best.ckpt"
    if broken == "missing":
        path.unlink()
    elif broken == "worse":
        saved(folder, "best.ckpt", 0.75, BestModel(monitor="val/loss"))
    else:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"BestModel: expected the best model so far in .*best\.ckpt', found none"):
        callback = go_on(tmp_path, checkpoint, folder / "last.ckpt")
    assert callback.best_model_path == ""


def test_paths_of_a_checkpoint_are_not_trusted(tmp_path):
    """What is outdone is deleted; so no path of the file may survive, even if it claims the same folder."""
    victim = tmp_path / "victim.ckpt"
    victim.touch()
    own = tmp_path / "second/checkpoints"
    _, checkpoint = before(tmp_path, {"best.ckpt": 0.5})
    [state] = checkpoint["callbacks"].values()
    hostile = f"{own}/../../victim.ckpt"
    state |= {"dirpath": str(own), "kth_best_model_path": hostile, "last_model_path": hostile}
    callback = go_on(tmp_path, checkpoint, tmp_path / "first/checkpoints/last.ckpt")
    assert callback.kth_best_model_path == callback.best_model_path == str(own / "best.ckpt")
    assert callback.last_model_path == ""
    last = LastModel(dirpath=str(own))
    last.load_state_dict({**last.state_dict(), "best_model_path": hostile})
    assert last.best_model_path == ""


def test_the_same_folder(tmp_path):
    folder, checkpoint = before(tmp_path, {"best.ckpt": 0.5})
    callback = BestModel(dirpath=str(folder), monitor="val/loss")
    trainer = SimpleNamespace(ckpt_path=str(folder / "last.ckpt"), is_global_zero=True)
    callback.on_load_checkpoint(trainer, None, checkpoint)
    callback.load_state_dict(checkpoint["callbacks"][callback.state_key])
    assert callback.best_model_path == str(folder / "best.ckpt")
    assert callback.best_model_score == 0.5
