"""Data sets as LightningDataModules. Needs lightning; scikit-learn, torchvision, h5py and torchaudio where used."""

from .bucketing import BucketedBatches
from .cifar10_dvs import CIFAR10DVS
from .digits import Digits
from .dvs_gesture import DVSGesture
from .event_augmentation import EventAugmentation
from .event_data import EventData
from .event_dataset import EventDataset, from_tonic
from .events import Events, Recording, collect
from .frame_dataset import FrameDataset
from .hdf5_events import SHD, SSC, HDF5Events, SpokenDigits
from .image_data import ImageData, Split
from .nmnist import NMNIST, BinRecordings
from .randman import Randman
from .sampling import ShardedBatches
from .sequence_data import SequenceData, Sequences
from .sequential_images import SequentialImages
from .speech_commands import SpeechCommands
from .vision import CIFAR10, KMNIST, MNIST, FashionMNIST
from .yin_yang import YinYang, yin_yang, yin_yang_class

__all__ = [
    "CIFAR10",
    "CIFAR10DVS",
    "KMNIST",
    "MNIST",
    "NMNIST",
    "SHD",
    "SSC",
    "BinRecordings",
    "BucketedBatches",
    "DVSGesture",
    "Digits",
    "EventAugmentation",
    "EventData",
    "EventDataset",
    "Events",
    "FashionMNIST",
    "FrameDataset",
    "HDF5Events",
    "ImageData",
    "Randman",
    "Recording",
    "SequenceData",
    "Sequences",
    "SequentialImages",
    "ShardedBatches",
    "SpeechCommands",
    "Split",
    "SpokenDigits",
    "YinYang",
    "collect",
    "from_tonic",
    "yin_yang",
    "yin_yang_class",
]
