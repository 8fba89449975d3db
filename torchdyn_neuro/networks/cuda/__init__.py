"""The steps of a network on a CUDA device."""
