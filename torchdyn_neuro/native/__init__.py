"""From source text to a loaded library: the only user of a compiler and of ``ctypes``."""
