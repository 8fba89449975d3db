"""A seeded search for steps of which the fused loop and the eager one, the definition, differ.

Random classes are written as text (``generate``), run with a sequence of calls and changes on both loops (``run``), and
compared within what rounding in the eager loop itself moves (``rounding``); what differs is made small (``minimise``).
By hand: ``python -m tests.fused.fuzz --seconds 3600 --dtype float64 --seed 0``.
"""
