"""EventProp for LIF neurons with exponential currents, from event to event, in closed form: no grid, no tensors.

Written from the equations, after Wunderlich & Pehle (2021), Sci. Rep. 11:12829, with delays, a refractory period and a
reset that is not zero: tau v' = -v + R s, tau_s s' = -s; v = threshold: v = reset, held for t_ref; s += w.
"""

import heapq
import math
from dataclasses import dataclass, field


@dataclass
class EventNetwork:
    """Neurons 0, 1, ...; synapses (pre, post, weight, delay); inputs (time, pre), from numbers behind the neurons."""

    synapses: list[tuple[int, int, float, float]]
    inputs: list[tuple[float, int]]
    first: list[float]
    duration: float
    tau: float = 10.0
    tau_syn: float = 4.0
    R: float = 1.3
    v_th: float = 1.0
    v_reset: float = 0.1
    t_ref: float = 1.5
    spikes: list[tuple[float, int]] = field(default_factory=list)
    log: list[tuple] = field(default_factory=list)

    def flow(self, v: float, s: float, u: float) -> tuple[float, float]:
        part = self.R * s / (1 - self.tau / self.tau_syn)
        s_after = s * math.exp(-u / self.tau_syn)
        return (v - part) * math.exp(-u / self.tau) + part * math.exp(-u / self.tau_syn), s_after

    def rise(self, v: float, s: float) -> float:
        return (self.R * s - v) / self.tau

    def crossing(self, v: float, s: float, most: float) -> float | None:
        """The wait until v first meets the threshold, which it does before its only maximum."""
        part = self.R * s / (1 - self.tau / self.tau_syn)
        ratio = -(part / self.tau_syn) / ((v - part) / self.tau)
        end = most
        if ratio > 0:
            top = math.log(ratio) / (1 / self.tau_syn - 1 / self.tau)
            end = top if 0 < top < most else most
        if self.flow(v, s, end)[0] < self.v_th:
            return None
        low, high = 0.0, end
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.flow(v, s, middle)[0] < self.v_th else (low, middle)
        return high

    def run(self) -> "EventNetwork":
        count = len(self.first)
        self.v, self.s, now, until = list(self.first), [0.0] * count, [0.0] * count, [0.0] * count
        queue: list[tuple] = []
        self.spikes, self.log = [], []

        def send(time: float, pre: int, number: int | None) -> None:
            for k, (source, _, _, delay) in enumerate(self.synapses):
                if source == pre:
                    heapq.heappush(queue, (time + delay, k, number))

        def move(i: int, time: float) -> None:
            held = min(time, until[i])
            if held > now[i]:
                self.s[i], now[i] = self.s[i] * math.exp(-(held - now[i]) / self.tau_syn), held
                if held == until[i]:
                    self.log.append((held, "release", i, self.rise(self.v[i], self.s[i])))
            if time > now[i]:
                self.v[i], self.s[i] = self.flow(self.v[i], self.s[i], time - now[i])
                now[i] = time

        for time, pre in self.inputs:
            send(time, pre, None)
        while True:
            after = min(queue[0][0] if queue else self.duration, self.duration)
            first = None
            for i in range(count):
                start = max(now[i], until[i])
                if start < after:
                    s = self.s[i] * math.exp(-(start - now[i]) / self.tau_syn)
                    wait = self.crossing(self.v[i], s, after - start)
                    if wait is not None and (first is None or start + wait < first[0]):
                        first = start + wait, i
            if first is not None:
                time, i = first
                move(i, time)
                self.log.append((time, "spike", i, len(self.spikes), self.rise(self.v[i], self.s[i])))
                self.v[i], until[i] = self.v_reset, time + self.t_ref
                send(time, i, len(self.spikes))
                self.spikes.append((time, i))
            elif after >= self.duration:
                break
            else:
                time, k, number = heapq.heappop(queue)
                move(self.synapses[k][1], time)
                self.log.append((time, "arrival", k, number))
                self.s[self.synapses[k][1]] += self.synapses[k][2]
        for i in range(count):
            move(i, self.duration)
        self.log.sort(key=lambda event: event[0])
        return self

    def adjoint(self, by_time: list[float], by_end: list[float]) -> tuple[list[float], list[float]]:
        """Gradients of the weights and the first potentials from those of the spike times and the last potentials."""
        lam_v, lam_s, now = list(by_end), [0.0] * len(by_end), [self.duration] * len(by_end)
        held, waiting, gain = [False] * len(by_end), [0.0] * len(by_end), list(by_time)
        weights = [0.0] * len(self.synapses)
        for time, i in self.spikes:
            held[i] = time + self.t_ref > self.duration

        def back(i: int, time: float) -> None:
            u, now[i] = now[i] - time, time
            if held[i]:
                lam_s[i] *= math.exp(-u / self.tau_syn)
                return
            part = lam_v[i] * self.R / self.tau / (1 / self.tau_syn - 1 / self.tau)
            lam_s[i] = (lam_s[i] - part) * math.exp(-u / self.tau_syn) + part * math.exp(-u / self.tau)
            lam_v[i] *= math.exp(-u / self.tau)

        for time, kind, k, *rest in reversed(self.log):
            if kind == "arrival":
                _, i, weight, _ = self.synapses[k]
                back(i, time)
                weights[k] += lam_s[i]
                if rest[0] is not None:
                    pull = 0.0 if held[i] else lam_v[i] * self.R / self.tau
                    gain[rest[0]] += weight * (lam_s[i] / self.tau_syn - pull)
            elif kind == "release":
                back(k, time)
                held[k], waiting[k] = True, -lam_v[k] * rest[0]
            else:
                number, slope = rest
                back(k, time)
                lam_v[k] = -(gain[number] + waiting[k]) / slope
                held[k], waiting[k] = False, 0.0
        for i in range(len(by_end)):
            back(i, 0.0)
        return weights, lam_v
