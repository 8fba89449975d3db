"""Smaller networks: weights in eight bits, weights that are gone."""

from .products import quantize_products
from .prune import prune
from .quantize import QuantizedWeight, bits_of, quantize

__all__ = ["QuantizedWeight", "bits_of", "prune", "quantize", "quantize_products"]
