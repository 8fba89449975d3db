// From what spikes gain by coming later to gradients of potentials. After walking.h, where weights are not frozen.
#ifndef FROZEN
struct Timing : Walking {
  // Where the neurons near a spike of a step, in order, end that are looked at together.
  I block_from(const int32_t* near, I k, I last, I first, I& begin) const {
    begin = (near[k] - first) / TOUCHED * TOUCHED;
    while (k < last && near[k] - first < begin + TOUCHED) ++k;
    return k;
  }
  // The number of a spike of a step.
  I number_of(I neuron, I t) const {
    I low = since(t), high = since(t + 1);
    while (low < high) {
      const I middle = (low + high) / 2;
      if (spikes[2 * middle + 1] < neuron)
        low = middle + 1;
      else
        high = middle;
    }
    return low < since(t + 1) && spikes[2 * low + 1] == neuron ? low - since(begin) : -1;
  }
  // After what share of a step its spikes were fired.
  void share(Part& own, I o, I a, I t) {
    void* inputs[INPUTS];
    for (I n = 0; n < populations; ++n) {
      const Learner& p = learner[n];
      const Crossings& c = crossings[n];
      const I *const range = p.ranges + o * (2 + p.inputs), low = range[0];
      const I* const at = own.starts + n * (every + 1) + (t - a);
      const int32_t* const near = own.near.at;
      for (I k = 0; k < p.inputs; ++k) inputs[k] = line(own, t) + range[2 + k];
      for (I k = at[0], next, block; k < at[1]; k = next) {
        next = block_from(near, k, at[1], p.first, block);
        own.looked.look(c, p.inputs, p.rows(), (t - a) * p.length, p.states, inputs, true, low, block);
        for (; k < next; ++k) {
          const I number = number_of(near[k], t);
          if (number >= 0) times[number] = (NUMBER)own.looked.share(c, near[k] - p.first - block);
        }
      }
    }
  }
  // What is watched before the reset less what is behind it, times the mean of its gradients before and in this step, of
  // which the last of a run is no part of an interval. Fields: after a step without a spike.
  double longer(const Learner& p, const Crossings& c, const Looked& at, I n, I neuron, I l, I row, I t) const {
    double sum = 0;
    for (I s = 0; s < watches; ++s) {
      const Seen& w = seen[s];
      if (w.population != n) continue;
      const I field = c.carried[w.state];
      I place = 0;
      while (place < p.states && c.replayed[place] != field) ++place;
      if (place == p.states) continue;
      const double jump = at.after(c, field, l) - number_at(p.rows()[place], c.sizes[field], row + neuron);
      const NUMBER* const now = w.gradient + (t - begin) * w.count;
      const double share = t + 1 < end ? (t > begin ? .5 : 1) : 0, before = t > begin ? 1 - share : 0;
      for (I k = 0; k < w.count; ++k)
        if (w.neuron[k] == neuron) sum += jump * (share * now[k] + (before ? before * now[k - w.count] : 0));
    }
    return sum;
  }
  // From what a spike gains by coming later to the gradient of its potential.
  void time(Part& own, I n, I low, I high, I a, I t, void* const* inputs, void* const* before, const char* arrives) {
    const Learner& p = learner[n];
    const Crossings& c = crossings[n];
    Looked& looked = own.looked;
    NUMBER* const gradient = (NUMBER*)p.gradients()[0];
    const I *const at = own.starts + n * (every + 1) + (t - a), after = (t + 1 - a) * p.length;
    const int32_t* const near = own.near.at;
    I v = 0;
    while (v < p.carried && c.carried[v] != c.potential) ++v;
    if (c.hold && t - c.hold >= begin && v < p.carried && arrives[1 + v])
      for (I k = since(t - c.hold), last = -1; k < since(t - c.hold + 1); ++k) {
        const I j = spikes[2 * k + 1] - p.first, block = j / TOUCHED * TOUCHED;
        if (j < low || j >= high) continue;
        if (block != last) looked.look(c, p.inputs, p.rows(), after, p.states, inputs, false, low, last = block);
        const double slope = number_at(p.gradients()[1 + v], c.sizes[c.potential], j);
        c.waiting[j] = -slope * looked.change(c, c.potential, j - block);
      }
    for (I k = at[0], next, block; k < at[1]; k = next) {
      next = block_from(near, k, at[1], p.first, block);
      double gains[TOUCHED], rise[TOUCHED];
      looked.look(c, p.inputs, p.rows(), after, p.states, inputs, false, low, block);
      for (I l = 0; l < TOUCHED; ++l) {
        gains[l] = 0;
        for (I i = 0; i < p.carried; ++i)
          if (arrives[1 + i])
            gains[l] -= number_at(p.gradients()[1 + i], c.sizes[c.carried[i]], block + l) *
                        looked.change(c, c.carried[i], l);
      }
      looked.look(c, p.inputs, p.rows(), (t - a) * p.length, p.states, inputs, true, low, block);
      looked.put_aside(c);
      for (I q = k; q < next; ++q)
        gains[near[q] - p.first - block] +=
            longer(p, c, looked, n, near[q] - p.first, near[q] - p.first - block, after, t);
      looked.turn(c, p, before, inputs, arrives, low, block);
      for (I l = 0; l < TOUCHED; ++l) gains[l] += looked.along(c, p, l);
      looked.turn(c, p, before, inputs, nullptr, low, block);
      for (I l = 0; l < TOUCHED; ++l) rise[l] = looked.along(c, p, l);
      for (; k < next; ++k) {
        const I j = near[k] - p.first, l = j - block, number = times ? number_of(near[k], t) : -1;
        double gained = gains[l] + gradient[j] + c.waiting[j], moves = rise[l] > slowest ? rise[l] : slowest;
        if (number >= 0) gained += dt * times[number];
        // What was above before the step has fired at its start, and crosses nothing.
        const bool below = looked.share(c, l) > 0;
        own.grazing += !(below && rise[l] > 0);
        gradient[j] = below && moves > 0 ? (NUMBER)(-gained / moves) : 0;
        c.waiting[j] = 0;
      }
    }
  }
};
#endif
