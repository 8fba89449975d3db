#!/usr/bin/env bash
# Everything that needs a CUDA GPU, in less than eight minutes and without a network: tests, block sizes, figures.
#
#     bash benchmarks/gpu.sh OUT                 # one JSON and one Markdown table into the folder OUT
#     bash benchmarks/gpu.sh OUT --dry-run       # the same script in a minute without a GPU: tiny sizes, C++ loops
#     bash benchmarks/gpu.sh OUT --parts tune    # only these
#     bash benchmarks/gpu.sh OUT --tables FILE   # with the cortical microcircuit, whose numbers are in a JSON file
#
# Each part is a process of its own with a time limit; if one fails the others go on, and the status is not zero.
set -u
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PYTHONPATH="$root:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" "$root/benchmarks/gpu.py" "$@"
