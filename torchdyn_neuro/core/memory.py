"""How much memory is free."""

from pathlib import Path

import torch


def free_memory(device: torch.device | None = None) -> int | None:
    """Bytes that the machine, or a GPU, has left; ``None`` where it does not tell."""
    if device is not None and device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device is not None and device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
