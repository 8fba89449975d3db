// The derivative of many steps of a network, from the last to the first. After run.h, where weights are not frozen.
//
// Segment by segment: what arrives is added up once more, in the order of the run, from the list of its spikes; states
// are computed again from those that were kept at the start of the segment. Then reverse time walks the rows: the
// gradient of a spike of step t is the sum over its row of the weights times the gradients of the inputs in step t + d,
// and that of a weight these gradients in the steps in which a spike arrived through it. The first is taken for neurons
// alone whose output has a slope. A gradient of inputs takes the place of the inputs of its step.
//
// Owners go through a segment by themselves but for one barrier in each step, when the sums over the parts of a row are
// there, which are added in the order of the owners: nothing depends on threads.
#ifndef FROZEN
enum { FETCHED = 6 };
// What comes of a spike: a number for each bin and neuron, times a power that counts the steps to the end of the bin.
struct Readout {
  I population, width;
  const NUMBER *gradient, *power;
};
struct Source {
  Drive drive, counts;
  NUMBER *sum, *counted;  // of each neuron: gradients of the input; the same times numbers of spikes; or null
};
struct Seen {
  I population, state, count;
  const I* neuron;
  const NUMBER* gradient;  // [steps, count]
};
struct alignas(64) Part {
  const uint64_t* offsets;
  I base;                   // of its accumulators
  Growing<int32_t> near;    // neurons with a slope: of each population, of each step of a segment
  I* starts;
  NUMBER *sums[2], *buffer;
  char* arrives;
  Looked looked;
  I walked, went, grazing;
};

struct Backwards {
  I threads, owners, populations, begin, end, longest, every, all, width, drives, readouts, watches, turns;
  const uint16_t* places;
  const Weight* weights;
  NUMBER *learned, *lines;  // gradients of the weights, or null; inputs and their gradients [turns, width]
  const int32_t* spikes;
  const I* starts;          // of the spikes of each step, from ``longest`` before the first on
  Learner* learner;
  Source* outside;
  Readout* readout;
  Seen* seen;
  Part* part;
  Crossings* crossings;     // of each population, or null where spikes have a surrogate
  NUMBER* times;            // of each spike of the run: gradients of its time, or after what share of its step it was
  double dt, slowest;       // how far a potential that crosses moves in a step, at least
  Barrier barrier;

  NUMBER* line(const Part& own, I t) const { return lines + t % turns * width + own.base; }
  I since(I t) const { return starts[t - begin + longest]; }

  void replay(Part& own, I o, I a, I b) {
    const I mine = (o + 1 < owners ? part[o + 1].base : width) - own.base;
    for (I t = a; t < b; ++t) __builtin_memset(line(own, t), 0, (__SIZE_TYPE__)mine * sizeof(NUMBER));
    const I from = a - longest > begin - longest ? a - longest : begin - longest;
    for (I s = from; s < b - 1; ++s)
      for (I k = since(s); k < since(s + 1); ++k) {
        uint64_t row = own.offsets[spikes[2 * k + 1]];
        if (row == NO_ROW) continue;
        for (I at = (I)(row & PLACE_OF_ROW), d = (I)(row >> DELAY_AT); d && s + d < b;) {
          if (s + d >= a) arrive(line(own, s + d), places + at + HEADER, weights + at + HEADER, places[at]);
          d = places[at + 1];
          at += HEADER + places[at];
        }
      }
    void *inputs[16], *before[64], *after[64];
    I count = 0;
    for (I n = 0; n < populations; ++n) {
      const Learner& p = learner[n];
      const I *const range = p.ranges + o * (2 + p.inputs), low = range[0], high = range[1];
      const I whole = (high - low + BLOCK_OF_DRIVE - 1) / BLOCK_OF_DRIVE * BLOCK_OF_DRIVE;
      I* const at = own.starts + n * (every + 1);
      const bool moves = p.replay && low < high;
      for (I k = 0; moves && k < p.states; ++k)
        __builtin_memcpy((char*)p.rows()[k] + low * p.sizes[k],
                         (const char*)p.kept()[k] + ((a - begin) / every * p.length + low) * p.sizes[k],
                         (__SIZE_TYPE__)(whole * p.sizes[k]));
      for (I t = a; t < b; ++t) {
        at[t - a] = count;
        if (!moves) continue;
        NUMBER* const row = line(own, t);
        for (I k = 0; k < p.inputs; ++k) inputs[k] = row + range[2 + k];
        for (I k = 0; k < drives; ++k)
          if (outside[k].drive.population == n)
            drive(outside[k].drive, (NUMBER*)inputs[outside[k].drive.input], low, high, t);
        for (I k = 0; k < p.states; ++k) {
          before[k] = (char*)p.rows()[k] + (t - a) * p.length * p.sizes[k];
          after[k] = (char*)before[k] + p.length * p.sizes[k];
        }
        own.near.need(count + high - low);
        count += p.replay(p.tensors, inputs, before, after, low, high, p.first, own.near.at + count);
      }
      at[b - a] = count;
    }
  }

  // The sum over a part of a row.
  NUMBER gathered(const Part& own, I neuron, I t, I& went) const {
    const uint64_t row = own.offsets[neuron];
    if (row == NO_ROW) return 0;
    NUMBER sum = 0;
    const I now = t % turns;
    for (I at = (I)(row & PLACE_OF_ROW), d = (I)(row >> DELAY_AT); d && t + d < end;) {
      const I turn = now + d >= turns ? now + d - turns : now + d, count = places[at];
      const NUMBER* const from = lines + turn * width + own.base;
      const uint16_t* const place = places + at + HEADER;
      const Weight* const weight = weights + at + HEADER;
      NUMBER a = 0, b = 0, c = 0, e = 0;
      for (I k = 0; k < count; k += WHOLE) {
        a += weight[k] * from[place[k]];
        b += weight[k + 1] * from[place[k + 1]];
        c += weight[k + 2] * from[place[k + 2]];
        e += weight[k + 3] * from[place[k + 3]];
      }
      sum += (a + b) + (c + e);
      went += count;
      d = places[at + 1];
      at += HEADER + count;
    }
    return sum;
  }
  // What it changes that the spike comes a step later.
  NUMBER postponed(const Part& own, I neuron, I t, I& went) const {
    const uint64_t row = own.offsets[neuron];
    if (row == NO_ROW) return 0;
    NUMBER sum = 0;
    for (I at = (I)(row & PLACE_OF_ROW), d = (I)(row >> DELAY_AT); d && t + d < end;) {
      const NUMBER *const now = line(own, t + d), *const later = t + d + 1 < end ? line(own, t + d + 1) : nullptr;
      const I count = places[at];
      for (I k = at + HEADER; k < at + HEADER + count; ++k)
        sum += weights[k] * ((later ? later[places[k]] : 0) - now[places[k]]);
      went += count;
      d = places[at + 1];
      at += HEADER + count;
    }
    return sum;
  }
  // The weights of a part of a row that a spike went through.
  void taught(const Part& own, I neuron, I t) const {
    const uint64_t row = own.offsets[neuron];
    if (row == NO_ROW) return;
    for (I at = (I)(row & PLACE_OF_ROW), d = (I)(row >> DELAY_AT); d && t + d < end;) {
      const I count = places[at];
      if (t + d >= begin) {
        const NUMBER* const from = line(own, t + d);
        const uint16_t* const place = places + at + HEADER;
        NUMBER* const to = learned + at + HEADER;
        for (I k = 0; k < count; ++k) to[k] += from[place[k]];
      }
      d = places[at + 1];
      at += HEADER + count;
    }
  }
  void teach(const Part& own, I t) const {
    for (I k = since(t); learned && k < since(t + 1); ++k) taught(own, spikes[2 * k + 1], t);
  }

  void walk(Part& own, I a, I t) {
    NUMBER* const to = own.sums[t & 1];
    I walked = 0, went = 0;
    for (I n = 0; n < populations; ++n)
      for (I o = 0; o < owners; ++o) {
        const I* const at = part[o].starts + n * (every + 1) + (t - a);
        const int32_t* const near = part[o].near.at;
        for (I k = at[0]; k < at[1]; ++k) {
          if (k + FETCHED < at[1]) {
            const uint64_t later = own.offsets[near[k + FETCHED]] & PLACE_OF_ROW;
            if (later != PLACE_OF_ROW)
              for (int ahead = 0; ahead < 6; ++ahead) {
                if (ahead < 3) __builtin_prefetch(places + later + 32 * ahead);
                __builtin_prefetch((const char*)(weights + later) + 64 * ahead);
              }
          }
          to[near[k]] = crossings ? postponed(own, near[k], t, went) : gathered(own, near[k], t, went);
        }
        walked += at[1] - at[0];
      }
    own.walked += walked, own.went += went;
    teach(own, t);
  }

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
  // What is watched in a step before, once more if the reset comes a step later. Fields: after a step without a spike.
  double longer(const Learner& p, const Crossings& c, const Looked& at, I n, I neuron, I l, I row, I t) const {
    double sum = 0;
    for (I s = 0; s < watches && t > begin; ++s) {
      const Seen& w = seen[s];
      if (w.population != n) continue;
      const I field = c.carried[w.state];
      I place = 0;
      while (place < p.states && c.replayed[place] != field) ++place;
      if (place == p.states) continue;
      const double now = number_at(p.rows()[place], c.sizes[field], row + neuron);
      for (I k = 0; k < w.count; ++k)
        if (w.neuron[k] == neuron) sum += w.gradient[(t - 1 - begin) * w.count + k] * (at.after(c, field, l) - now);
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
            gains[l] -= number_at(p.gradients()[1 + i], c.sizes[c.carried[i]], block + l) * looked.change(c, c.carried[i], l);
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
        own.grazing += !(rise[l] > 0);
        gradient[j] = moves > 0 ? (NUMBER)(-gained / moves) : 0;
        c.waiting[j] = 0;
      }
    }
  }

  void back(Part& own, I o, I a, I t) {
    void *inputs[16], *before[64];
    char* arrives = own.arrives;
    for (I n = 0; n < populations; ++n) {
      const Learner& p = learner[n];
      const I *const range = p.ranges + o * (2 + p.inputs), low = range[0], high = range[1];
      if (!p.reverse || low >= high) continue;
      NUMBER* const gradient = (NUMBER*)p.gradients()[0];
      const I* const at = own.starts + n * (every + 1) + (t - a);
      const int32_t* const near = own.near.at;
      for (I k = at[0]; k < at[1]; ++k) {
        NUMBER sum = 0;
        for (I q = 0; q < owners; ++q) sum += part[q].sums[t & 1][near[k]];
        gradient[near[k] - p.first] = sum;
      }
      for (I r = 0; r < readouts; ++r) {
        if (readout[r].population != n) continue;
        const I bin = (t - begin) / readout[r].width, left = readout[r].width - 1 - (t - begin) % readout[r].width;
        const NUMBER* const each = readout[r].gradient + bin * p.neurons - p.first;
        const NUMBER power = readout[r].power[left];
        if (!crossings) {
          for (I k = at[0]; k < at[1]; ++k) gradient[near[k] - p.first] += each[near[k]] * power;
          continue;
        }
        // Less what it would count for a step before, which may be the end of the bin before.
        const bool first = left + 1 == readout[r].width && bin;
        const NUMBER* const before = first ? each - p.neurons : each;
        const NUMBER less = readout[r].power[first ? 0 : left + 1];
        for (I k = at[0]; k < at[1]; ++k)
          gradient[near[k] - p.first] += each[near[k]] * power - before[near[k]] * less;
      }
      arrives[0] = 1;
      for (I s = 0; s < watches; ++s) {
        const Seen& w = seen[s];
        if (w.population != n) continue;
        NUMBER* const to = (NUMBER*)p.gradients()[1 + w.state];
        const NUMBER* const from = w.gradient + (t - begin) * w.count;
        for (I k = 0; k < w.count; ++k)
          if (w.neuron[k] >= low && w.neuron[k] < high) to[w.neuron[k]] += from[k];
        arrives[1 + w.state] = 1;
      }
      NUMBER* const row = line(own, t);
      for (I k = 0; k < p.inputs; ++k) inputs[k] = row + range[2 + k];
      for (I k = 0; k < p.states; ++k) before[k] = (char*)p.rows()[k] + (t - a) * p.length * p.sizes[k];
      if (crossings) time(own, n, low, high, a, t, inputs, before, arrives);
      p.reverse(p.tensors, inputs, before, p.gradients(), arrives, low, high);
      for (I k = 0; k < p.carried; ++k) arrives[1 + k] = arrives[1 + p.carried + k];
      arrives += 1 + 2 * p.carried;
      for (I k = 0; k < drives; ++k) {
        const Source& source = outside[k];
        if (source.drive.population != n || !source.sum) continue;
        const NUMBER* const from = (const NUMBER*)inputs[source.drive.input];
        for (I j = low; j < high; ++j) source.sum[j] += from[j - low];
        if (!source.counted) continue;
        for (I j = 0; j < high - low + BLOCK_OF_DRIVE; ++j) own.buffer[j] = 0;
        drive(source.counts, own.buffer, low, high, t);
        for (I j = low; j < high; ++j) source.counted[j] += from[j - low] * own.buffer[j - low];
      }
    }
  }
};

// tensors: places, weights, offsets, spikes (step, neuron) in order, where those of each step begin, gradients of the
// weights or null, room for inputs, figures [owners, 3]; those of each population; of each drive those of its numbers,
// of numbers of spikes, and of its gradients; of each readout gradients and powers; of each watch neurons and gradients;
// numbers of each spike of the run, or null; the length of a step and the least rise in one; where times have a gradient,
// of each population what is held, what comes in every step to each input, and room.
// sizes: threads, owners, populations, first step, the step behind the last, longest delay, steps of a segment, neurons,
// drives, readouts, watches, populations whose times have a gradient (all or none), whether only times are found;
// accumulators of each owner; of each population the words of a Learner, bytes of a number of
// each state, ranges; of each drive its words; of each readout its population and width; of each watch its population,
// the carried state and how many neurons; of each population the words of Crossings. functions: replay and reverse of
// each population, then what is looked at in each.
extern "C" void reverse_network(const void* const* functions, void* const* tensors, const I* sizes) {
  Backwards m = {};
  m.threads = sizes[0], m.owners = sizes[1], m.populations = sizes[2], m.begin = sizes[3], m.end = sizes[4];
  m.longest = sizes[5], m.every = sizes[6], m.all = sizes[7], m.drives = sizes[8], m.readouts = sizes[9];
  m.watches = sizes[10], m.turns = m.every + m.longest + 1;
  const I timed = sizes[11], looks = sizes[12], *word = sizes + 13;
  m.places = (const uint16_t*)tensors[0], m.weights = (const Weight*)tensors[1];
  m.spikes = (const int32_t*)tensors[3], m.starts = (const I*)tensors[4];
  m.learned = (NUMBER*)tensors[5], m.lines = (NUMBER*)tensors[6];
  I* const figures = (I*)tensors[7];
  void* const parts = memory_of((m.owners + 1) * (I)sizeof(Part));
  m.part = (Part*)(((uintptr_t)parts + 63) & ~(uintptr_t)63);
  for (I o = 0; o < m.owners; ++o, ++word) {
    m.part[o] = {};
    m.part[o].offsets = (const uint64_t*)tensors[2] + o * m.all, m.part[o].base = m.width;
    m.width += *word;
  }
  void* const* tensor = tensors + 8;
  m.learner = (Learner*)memory_of(m.populations * (I)sizeof(Learner));
  I flags = 0;
  for (I n = 0; n < m.populations; ++n) {
    const I* const ranges = word + 8 + word[5];
    m.learner[n] = {word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
                    (Replay)functions[2 * n], (Reverse)functions[2 * n + 1], tensor, word + 8, ranges};
    tensor += word[4] + 2 * word[5] + 1 + word[6] + word[7];
    flags += 1 + 2 * word[6];
    word = ranges + m.owners * (2 + word[3]);
  }
  m.outside = (Source*)memory_of(m.drives * (I)sizeof(Source));
  for (I n = 0; n < m.drives; ++n, word += DRIVE_WORDS, tensor += 2 * DRIVE_TENSORS + 2)
    m.outside[n] = {drive_of(word, tensor), drive_of(word, tensor + DRIVE_TENSORS),
                   (NUMBER*)tensor[2 * DRIVE_TENSORS], (NUMBER*)tensor[2 * DRIVE_TENSORS + 1]};
  m.readout = (Readout*)memory_of(m.readouts * (I)sizeof(Readout));
  for (I n = 0; n < m.readouts; ++n, word += 2, tensor += 2)
    m.readout[n] = {word[0], word[1], (const NUMBER*)tensor[0], (const NUMBER*)tensor[1]};
  m.seen = (Seen*)memory_of(m.watches * (I)sizeof(Seen));
  for (I n = 0; n < m.watches; ++n, word += 3, tensor += 2)
    m.seen[n] = {word[0], word[1], word[2], (const I*)tensor[0], (const NUMBER*)tensor[1]};
  m.times = (NUMBER*)*tensor++;
  m.dt = ((const double*)*tensor)[0], m.slowest = ((const double*)*tensor++)[1];
  Crossings* const crossings = (Crossings*)memory_of((timed + 1) * (I)sizeof(Crossings));
  m.crossings = timed ? crossings : nullptr;
  for (I n = 0; n < timed; ++n) {
    const Learner& p = m.learner[n];
    const I *const leaves = word + 4, *const replayed = leaves + word[0], *const carried = replayed + p.states;
    crossings[n] = {(Step)functions[2 * m.populations + n], word[0], word[1], word[2], word[3], leaves, replayed, carried,
                    carried + p.carried, tensor, tensor + word[3], nullptr};
    if (crossings[n].step) tensor += word[3] + p.inputs, crossings[n].waiting = (double*)*tensor++;
    word = carried + p.carried + p.learned;
  }
  for (I o = 0; o < m.owners; ++o) {
    Part& own = m.part[o];
    own.starts = (I*)memory_of(m.populations * (m.every + 1) * (I)sizeof(I));
    for (int k = 0; k < 2; ++k) own.sums[k] = (NUMBER*)memory_of((m.all + 1) * (I)sizeof(NUMBER));
    own.buffer = (NUMBER*)memory_of((m.all + 2 * BLOCK_OF_DRIVE) * (I)sizeof(NUMBER));
    own.arrives = (char*)memory_of(flags + 1);
    for (I k = 0; k <= flags; ++k) own.arrives[k] = 0;
  }
#pragma omp parallel num_threads(m.threads)
  {
    const I threads = threads_here(), id = thread_number();
    for (I o = id; looks && o < m.owners; o += threads)
      for (I a = m.begin, b; a < m.end; a = b) {
        b = a + m.every < m.end ? a + m.every : m.end;
        m.replay(m.part[o], o, a, b);
        for (I t = a; t < b; ++t) m.share(m.part[o], o, a, t);
      }
    for (I b = looks ? m.begin : m.end, a; b > m.begin; b = a) {
      a = m.begin + (b - m.begin - 1) / m.every * m.every;
      for (I o = id; o < m.owners; o += threads) m.replay(m.part[o], o, a, b);
      m.barrier.wait(threads);
      for (I t = b - 1; t >= a; --t) {
        for (I o = id; o < m.owners; o += threads) m.walk(m.part[o], a, t);
        m.barrier.wait(threads);
        for (I o = id; o < m.owners; o += threads) m.back(m.part[o], o, a, t);
      }
      m.barrier.wait(threads);
    }
    for (I o = id; !looks && o < m.owners; o += threads)
      for (I t = m.begin - 1; t >= m.begin - m.longest; --t) m.teach(m.part[o], t);
  }
  for (I o = 0; o < m.owners; ++o) {
    Part& own = m.part[o];
    figures[3 * o] += own.walked, figures[3 * o + 1] += own.went, figures[3 * o + 2] += own.grazing;
    own.looked.drop();
    free(own.near.at), free(own.starts), free(own.buffer), free(own.arrives);
    for (int k = 0; k < 2; ++k) free(own.sums[k]);
  }
  free(parts), free(m.learner), free(m.outside), free(m.readout), free(m.seen), free(crossings);
}
#endif
