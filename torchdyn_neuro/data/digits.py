"""Handwritten digits of scikit-learn: real, small, offline."""

import torch

from .image_data import ImageData, Split


class Digits(ImageData):
    """1,797 handwritten digits of 8 x 8 pixels; 70 % for training, 10 % for validation, 20 % for the test.

    The split is stratified, and the same for every seed of the training.

    Args:
        batch_size: size of a batch, over all processes together.
        shift: training images are moved by up to so many pixels in each direction, at random.
        flip: training images are mirrored with probability one half.
        seed: seed of the order of the samples.
        split_seed: seed of the split.

    Source: Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
    """

    shape = (1, 8, 8)
    classes = 10

    def __init__(
        self, *, batch_size: int = 128, shift: int = 0, flip: bool = False, seed: int = 0, split_seed: int = 0
    ):
        super().__init__(batch_size=batch_size, shift=shift, flip=flip, seed=seed)
        self.split_seed = split_seed

    def load(self) -> dict[str, Split]:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        pixels, labels = load_digits(return_X_y=True)
        everything = range(len(labels))
        rest, test = train_test_split(everything, test_size=0.2, stratify=labels, random_state=self.split_seed)
        train, val = train_test_split(rest, test_size=0.125, stratify=labels[rest], random_state=self.split_seed)
        # The pixels of this data set count from 0 to 16.
        images = torch.from_numpy(pixels).float().view(-1, *self.shape) / 16
        targets = torch.from_numpy(labels).long()
        return {
            name: Split(images[chosen], targets[chosen])
            for name, chosen in {"train": train, "val": val, "test": test}.items()
        }
