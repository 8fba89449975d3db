import pytest
import torch

import torchdyn_neuro as tdn
from tests.inference.trained import CLICKS, checkpoint, digits
from torchdyn_neuro.decoding import FirstSpike
from torchdyn_neuro.inference import LiveClassifier


def test_each_frame_gives_the_logits_of_all_so_far(tmp_path):
    classifier = tdn.load(checkpoint(tmp_path / "a.ckpt", {**CLICKS, "dt": 5.0}))
    live = LiveClassifier(classifier)
    frames = torch.rand(6, 2, 8)
    for _ in range(2):
        for number, frame in enumerate(frames, 1):
            logits = live.step(frame)
            torch.testing.assert_close(logits, classifier(frames[:number].transpose(0, 1)))
        live.reset()


def test_what_cannot_be_live_says_why(tmp_path):
    with pytest.raises(ValueError, match="encodes each sample by DirectCurrent"):
        LiveClassifier(tdn.load(digits(tmp_path / "a.ckpt")))
    classifier = tdn.load(checkpoint(tmp_path / "b.ckpt", {**CLICKS, "dt": 5.0}))
    classifier.loss.decoder = FirstSpike(dt=5.0)
    with pytest.raises(ValueError, match="reads while time goes on, got FirstSpike"):
        LiveClassifier(classifier)
