"""The command that asks a trained classifier: ``torchdyn-predict CHECKPOINT FILES|-``."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from ..data.event_data import EventData
from ..data.image_data import ImageData
from ..data.sequential_images import SequentialImages
from ..training import Classification
from .command_line import MISTAKES, guarded, opened, parser
from .listening import frames_from_events, frames_from_numbers
from .live import LiveClassifier
from .rates import RateMeter
from .readers import Samples, check_pixels, reader_for

DESCRIPTION = """Labels of files or of what comes in, a line each: name, label (the name of the class, if the data give
names), probability, firing rate of each layer.

files: images; arrays .npy; of a classifier of events .bin, .aedat, .h5, .csv (time in ms, then the unit, or polarity,
       row and column), or .npy with such rows
-:     lines of standard input: a sample each, or of a classifier of sequences a frame or an event each; an answer
       comes after every step, and an empty line ends a sequence
"""


def command(arguments: list[str] | None = None) -> None:
    """The command ``torchdyn-predict``; ``--help`` says what it takes."""
    takes = parser("torchdyn-predict", DESCRIPTION)
    takes.add_argument("files", nargs="+", metavar="FILE|-")
    takes.add_argument("--top", type=int, default=1, metavar="K", help="the K most probable labels (default: 1)")
    takes.add_argument("--json", action="store_true", help="a JSON object a line")
    takes.add_argument("--every", type=int, default=1, metavar="N", help="an answer after every N steps of a stream")
    takes.add_argument("--batch-size", type=int, default=64, metavar="N", help="samples at a time (default: 64)")
    takes.add_argument("--resize", action="store_true", help="bring images to the size of the training")
    given = takes.parse_args(arguments)
    if min(given.top, given.every, given.batch_size) < 1:
        takes.error("expected --top, --every and --batch-size of at least 1")
    if "-" in given.files and len(given.files) > 1:
        takes.error("expected either files or -, got both")

    def main() -> int:
        classifier, data = opened(given.checkpoint, given.trusted, given.device)
        answers = Answers(classifier, given.top, given.json)
        if given.files == ["-"]:
            answers.listen(data, given.every)
            return 0
        shape = tuple(classifier.config["data"]["input_shape"])
        read = reader_for(data, shape, encoded=classifier.encoder is not None, resize=given.resize)
        failed = 0
        for name in given.files:
            try:
                if not Path(name).is_file():
                    raise FileNotFoundError(f"predict: expected a file, found none: {name!r}; check the path")
                answers.tell(read(Path(name)), given.batch_size)
            except BrokenPipeError:
                raise
            except MISTAKES as error:
                # The other files are worth an answer.
                print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
                failed += 1
        return 1 if failed else 0

    guarded(main)


class Answers:
    """Asks a classifier and prints what it says.

    Args:
        classifier: which is asked.
        top: number of labels.
        as_json: print JSON.
    """

    def __init__(self, classifier: Classification, top: int, as_json: bool):
        self.classifier, self.top, self.as_json = classifier, min(top, classifier.classes), as_json

    @torch.no_grad()
    def tell(self, asked: Samples, batch_size: int) -> None:
        """Print a line for each sample."""
        for start in range(0, len(asked.names), batch_size):
            part = slice(start, start + batch_size)
            lengths = None if asked.lengths is None else asked.lengths[part].to(self.classifier.device)
            samples = asked.samples[part]
            if lengths is not None:
                samples = samples[:, : int(lengths.max())]
            with RateMeter(self.classifier.model) as meter:
                logits = self.classifier(samples.to(self.classifier.device), lengths)
            rates = meter.read()
            for row, name in enumerate(asked.names[part]):
                self._print({"name": name}, logits[row], {layer: float(each[row]) for layer, each in rates.items()})

    def listen(self, data: LightningDataModule, every: int) -> None:
        """Print a line for what comes from standard input, until it ends."""
        shape = tuple(getattr(data, "shape", None) or self.classifier.config["data"]["input_shape"])
        pixels = isinstance(data, (ImageData, SequentialImages))
        if self.classifier.encoder is not None:
            for number, sample in enumerate(frames_from_numbers(sys.stdin, shape), 1):
                if sample is not None:
                    if pixels:
                        check_pixels(f"line {number}", sample)
                    self.tell(Samples([f"line {number}"], sample, None), 1)
            return
        live = LiveClassifier(self.classifier)
        events = isinstance(data, EventData)
        frames = frames_from_events(sys.stdin, data) if events else frames_from_numbers(sys.stdin, shape)
        with RateMeter(self.classifier.model) as meter, closing(frames):
            self._follow(live, frames, meter, every, pixels)

    def _follow(
        self, live: LiveClassifier, frames: Iterator[Tensor | None], meter: RateMeter, every: int, pixels: bool
    ) -> None:
        sequence, waiting = 0, None

        def answer(logits: Tensor) -> None:
            rates = {layer: float(each[0]) for layer, each in meter.read().items()}
            self._print({"sequence": sequence, "step": live.steps}, logits, rates)

        for number, frame in enumerate(frames, 1):
            if frame is not None:
                if pixels:
                    check_pixels(f"line {number}", frame)
                logits = live.step(frame.to(self.classifier.device))[0]
                waiting = logits if live.steps % every else None
                if waiting is None:
                    answer(logits)
                continue
            if waiting is not None:
                # The last word on a sequence, whatever its length.
                answer(waiting)
            live.reset()
            sequence, waiting = sequence + 1, None
        if waiting is not None:
            answer(waiting)

    def _print(self, place: dict[str, str | int], logits: Tensor, rates: dict[str, float]) -> None:
        probabilities, labels = logits.double().softmax(0).topk(self.top)
        names = self.classifier.names
        found = [
            {"label": label, **({"class": names[label]} if names else {}), "probability": probability}
            for label, probability in zip(labels.tolist(), probabilities.tolist(), strict=True)
        ]
        if self.as_json:
            print(json.dumps({**place, **found[0], **({"top": found} if self.top > 1 else {}), "rates_hz": rates}))
        else:
            labels_told = "  ".join(f"{each.get('class', each['label'])} {each['probability']:.3f}" for each in found)
            rates_told = "  ".join(f"{layer} {rate:.1f} Hz" for layer, rate in rates.items())
            where = "  ".join(str(each) for each in place.values())
            print(f"{where}  {labels_told}  {rates_told}".rstrip())
        sys.stdout.flush()
