"""Ion channels, the building blocks of the Hodgkin-Huxley membrane. One channel, one file."""

from .a_type import AType, ATypeGates
from .channel import IonChannel, from_rates
from .leak import Leak
from .m_type import MType, MTypeGates
from .potassium import Potassium, PotassiumGates
from .sodium import Sodium, SodiumGates

__all__ = [
    "AType",
    "ATypeGates",
    "IonChannel",
    "Leak",
    "MType",
    "MTypeGates",
    "Potassium",
    "PotassiumGates",
    "Sodium",
    "SodiumGates",
    "from_rates",
]
