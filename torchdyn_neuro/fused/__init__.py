"""The fused time loop: a step is written once in torch and runs as one loop, forward and backward."""
