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
typedef I (*Replay)(void* const*, void* const*, void* const*, void* const*, I, I, I, int32_t*);
typedef void (*Reverse)(void* const*, void* const*, void* const*, void* const*, char*, I, I);

// A population: tensors that the step holds, of each state that is replayed what was kept and room for a segment, the
// gradients: of the output, of carried states, of parameters.
struct Learner {
  I first, neurons, length, inputs, held, states, carried, learned;
  Replay replay;
  Reverse reverse;
  void* const* tensors;
  const I *sizes, *ranges;  // bytes of a number of each state
  void* const* kept() const { return tensors + held; }
  void* const* rows() const { return kept() + states; }
  void* const* gradients() const { return rows() + states; }
};
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
  I walked, went;
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
          to[near[k]] = gathered(own, near[k], t, went);
        }
        walked += at[1] - at[0];
      }
    own.walked += walked, own.went += went;
    teach(own, t);
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
        for (I k = at[0]; k < at[1]; ++k) gradient[near[k] - p.first] += each[near[k]] * power;
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
// weights or null, room for inputs, figures [owners, 2]; those of each population; of each drive those of its numbers,
// of numbers of spikes, and of its gradients; of each readout gradients and powers; of each watch neurons and gradients.
// sizes: threads, owners, populations, first step, the step behind the last, longest delay, steps of a segment, neurons,
// drives, readouts, watches; accumulators of each owner; of each population the words of a Learner, bytes of a number of
// each state, ranges; of each drive its words; of each readout its population and width; of each watch its population,
// the carried state and how many neurons. functions: replay and reverse of each population.
extern "C" void reverse_network(const void* const* functions, void* const* tensors, const I* sizes) {
  Backwards m = {};
  m.threads = sizes[0], m.owners = sizes[1], m.populations = sizes[2], m.begin = sizes[3], m.end = sizes[4];
  m.longest = sizes[5], m.every = sizes[6], m.all = sizes[7], m.drives = sizes[8], m.readouts = sizes[9];
  m.watches = sizes[10], m.turns = m.every + m.longest;
  const I* word = sizes + 11;
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
    for (I b = m.end, a; b > m.begin; b = a) {
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
    for (I o = id; o < m.owners; o += threads)
      for (I t = m.begin - 1; t >= m.begin - m.longest; --t) m.teach(m.part[o], t);
  }
  for (I o = 0; o < m.owners; ++o) {
    Part& own = m.part[o];
    figures[2 * o] += own.walked, figures[2 * o + 1] += own.went;
    free(own.near.at), free(own.starts), free(own.buffer), free(own.arrives);
    for (int k = 0; k < 2; ++k) free(own.sums[k]);
  }
  free(parts), free(m.learner), free(m.outside), free(m.readout), free(m.seen);
}
#endif
