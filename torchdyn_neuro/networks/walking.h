// How reverse time walks the rows of a network. After crossing.h, where weights are not frozen.
//
// What arrives is added up once more, in the order of the run, from the list of its spikes; states are computed again from
// those that were kept at the start of a segment. The gradient of a spike of step t is the sum over its row of the weights
// times the gradients of the inputs in step t + d, and that of a weight these gradients in the steps in which a spike
// arrived through it. The first is taken for neurons alone whose output has a slope.
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
  NUMBER *sums, *buffer;    // sums: of two blocks of steps, each so many rows [all]
  char* arrives;
  Looked looked;
  I walked, went, grazing;
};

struct Walking {
  I threads, owners, populations, begin, end, longest, every, all, width, drives, readouts, watches, turns, together;
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

  // Inlined: GCC takes a function that does nothing else for one that does nothing.
  __attribute__((always_inline)) void fetch(const Part& own, I neuron) const {
    const uint64_t at = own.offsets[neuron] & PLACE_OF_ROW;
    if (at == PLACE_OF_ROW) return;
    for (int ahead = 0; ahead < 6; ++ahead) {
      if (ahead < 3) __builtin_prefetch(places + at + 32 * ahead);
      __builtin_prefetch((const char*)(weights + at) + 64 * ahead);
    }
  }

  void replay(Part& own, I o, I a, I b) {
    const I mine = (o + 1 < owners ? part[o + 1].base : width) - own.base;
    for (I t = a; t < b; ++t) __builtin_memset(line(own, t), 0, (__SIZE_TYPE__)mine * sizeof(NUMBER));
    const I from = a - longest > begin - longest ? a - longest : begin - longest;
    for (I k = since(from), last = since(b - 1); k < last; ++k) {
      if (k + FETCHED < last) fetch(own, spikes[2 * (k + FETCHED) + 1]);
      const I s = spikes[2 * k];
      const uint64_t row = own.offsets[spikes[2 * k + 1]];
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
      I k = 0;
#if defined(__AVX512F__) && defined(__AVX512BW__) && !defined(__clang__)
      if (sizeof(NUMBER) == 4) {
        typedef float V __attribute__((vector_size(64)));
        typedef int32_t J __attribute__((vector_size(64)));
        typedef uint16_t S __attribute__((vector_size(32)));
        V many = {};
        for (; k + 16 <= count; k += 16) {
          S at16;
          V w;
          __builtin_memcpy(&at16, place + k, 32);
          __builtin_memcpy(&w, weight + k, 64);
          const J index = __builtin_convertvector(at16, J);
          many += w * (V)__builtin_ia32_gathersiv16sf(V{}, (const void*)from, index, (unsigned short)-1, 4);
        }
        for (int l = 0; l < 16; l += 4) a += many[l], b += many[l + 1], c += many[l + 2], e += many[l + 3];
      }
#endif
      for (; k < count; k += WHOLE) {
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

  void walk(Part& own, I a, I t, I row) {
    NUMBER* const to = own.sums + row * all;
    I walked = 0, went = 0;
    for (I n = 0; n < populations; ++n)
      for (I o = 0; o < owners; ++o) {
        const I* const at = part[o].starts + n * (every + 1) + (t - a);
        const int32_t* const near = part[o].near.at;
        for (I k = at[0]; k < at[1]; ++k) {
          if (k + FETCHED < at[1]) fetch(own, near[k + FETCHED]);
          to[near[k]] = crossings ? postponed(own, near[k], t, went) : gathered(own, near[k], t, went);
        }
        walked += at[1] - at[0];
      }
    own.walked += walked, own.went += went;
    teach(own, t);
  }
};
#endif
