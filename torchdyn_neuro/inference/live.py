"""A classifier that listens: frame by frame, with what it thinks so far."""

import torch
from torch import Tensor

from ..core.streaming import Streaming
from ..training import Classification


class LiveClassifier:
    r"""Runs a trained classifier on streams, one frame at a time: each call tells the logits of all frames so far.

    After the last frame they are those of the classifier on the whole sequence.

    Args:
        classifier: as :func:`~torchdyn_neuro.inference.load` gives it, trained on sequences.

    Raises:
        ValueError: if the classifier encodes its samples itself, or its decoder reads whole sequences only.

    Example:
        >>> classifier = tdn.load("logs/spoken_digits/checkpoints/best.ckpt")  # doctest: +SKIP
        >>> live = LiveClassifier(classifier)  # doctest: +SKIP
        >>> for frame in recording:  # [B, channels]  # doctest: +SKIP
        ...     print(live.step(frame).softmax(1).amax(1))
    """

    def __init__(self, classifier: Classification):
        decoder = classifier.loss.decoder
        if classifier.encoder is not None:
            raise ValueError(
                "LiveClassifier: expected a classifier of sequences, got one that encodes each sample by "
                f"{type(classifier.encoder).__name__}; call the classifier with samples"
            )
        if decoder.keep is None:
            raise ValueError(
                "LiveClassifier: expected a decoder that reads while time goes on, got "
                f"{type(decoder).__name__}; train with the membrane, the rate or the spike count, or give whole "
                "sequences"
            )
        self.classifier, self.decoder = classifier, decoder
        self.stream = Streaming(classifier.model)
        self.reset()

    @torch.no_grad()
    def step(self, frame: Tensor) -> Tensor:
        """The logits [B, classes] after one more frame [B, \\*]."""
        y = self.stream.step(self.classifier.encode(frame.unsqueeze(1))[0])
        y = y if y.is_floating_point() else y.to(torch.get_default_dtype())
        self._kept = self.decoder.keep(self.decoder.start(y) if self._kept is None else self._kept, y)
        self.steps += 1
        return self.decoder.finish(self._kept, self.steps)

    def reset(self) -> None:
        """Forget what was heard: the next frame is the first of new streams."""
        self.stream.reset()
        self._kept: Tensor | None = None
        self.steps = 0
