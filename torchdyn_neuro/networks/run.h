// Many steps of a network: spikes are delivered, populations move on, and their spikes wait for their delays. After
// parts.h, waiting.h, drive.h.
//
// A spike of step n with a delay of d steps arrives in step n + d. What arrives in a step is added in one order, whoever
// does it: oldest spikes first, of one step those of lower neurons first. So nothing depends on threads or owners.
enum { AHEAD = 4, POPULATION_WORDS = 5, DRIVE_WORDS = 5, DRIVE_TENSORS = 4 };
enum { WATCH_WORDS = 2, WATCH_TENSORS = 3, KEPT_WORDS = 3, TAKEN = 5 };

struct Machine {
  I threads, owners, populations, longest, all, room, delays, drives, watches, interval, most, keeps, every, origin;
  Exchange exchange;
  const int32_t* heard;  // what came last
  I arrivals;
  const uint16_t* places;
  const Weight* weights;
  NUMBER scale;
  const I* delay;  // those that there are, longest first
  Population* population;
  Drive* outside;
  Watch* watch;
  Kept* kept;
  Owner* owner;
  Changing changing;
  I full[2];
  Barrier barrier;

  // Of this step and those before it, by one thread.
  bool swap(I t, I* recorded) {
    for (I o = 0; o < owners; ++o) recorded[o] = owner[o].recorded, owner[o].recorded = 0;
    heard = exchange(t + 1, &arrivals);
    return heard;
  }
  // Spikes of other processes come late, but before the first of them arrives.
  void take_heard(Owner& own, I t) const {
    for (I s = t - interval; s < t; ++s) own.counts[(s + longest) % longest] = 0;
    take_up(own, heard, arrivals, t);
  }

  void wait_for(Owner& own, uint64_t row, I slot) const {
    own.waiting[slot].need(own.counts[slot] + 1);
    own.waiting[slot].at[own.counts[slot]++] = row;
  }
  // Inlined: GCC takes a function that does nothing else for one that does nothing.
  INLINE void fetch_row(const uint16_t* place, const Weight* weight, bool near) {
    const char *const from[] = {(const char*)place, (const char*)weight};
    const int lines[] = {near ? 3 : 4, near ? 5 : 8};
    for (int part = 0; part < 2; ++part)
      for (int n = 0; n < lines[part]; ++n)
        if (near)
          __builtin_prefetch(from[part] + 64 * n, 0, 3);
        else
          __builtin_prefetch(from[part] + 64 * n, 0, 2);
  }
  // Spikes of the step before begin to wait.
  void take(Owner& own, I t) {
    const I slot = (t - 1) % longest;
    if (changing.count) changing.clear(&own - owner, t - 1);
    own.counts[slot] = 0;
    for (I n = 0; n < populations; ++n)
      for (I o = 0; o < owners; ++o) {
        const Owner& from = owner[o];
        const int32_t* const spike = from.spikes[(t - 1) & 1] + population[n].ranges[o * (2 + population[n].inputs)] +
                                     population[n].first;
        for (I k = 0; k < from.found[(t - 1) & 1][n]; ++k) {
          if (changing.count) changing.take(&own - owner, n, spike[k], t - 1);
          const uint64_t row = own.offsets[spike[k]];
          if (row == NO_ROW) continue;
          fetch_row(places + (row & PLACE_OF_ROW), weights + (row & PLACE_OF_ROW), false);
          wait_for(own, row, slot);
        }
      }
  }
  // Spikes of earlier calls, or of all processes, go on waiting: what they brought before this step has arrived.
  void take_up(Owner& own, const int32_t* recent, I count, I t) const {
    for (I k = 0; k < count; ++k) {
      const I ago = t - recent[2 * k];
      if (ago > longest || ago < 1) continue;
      uint64_t row = own.offsets[recent[2 * k + 1]];
      while (row != NO_ROW && (I)(row >> DELAY_AT) < ago) row = after(row);
      if (row != NO_ROW) wait_for(own, row, recent[2 * k] % longest);
    }
  }
  uint64_t after(uint64_t row) const {
    const I at = (I)(row & PLACE_OF_ROW);
    const uint64_t next = places[at + 1];
    return next ? (uint64_t)(at + HEADER + places[at]) | next << DELAY_AT : NO_ROW;
  }
  void deliver(Owner& own, I t) const {
    I count = 0;
    const I now = t % longest;
    for (I n = 0; n < delays; ++n) {
      const I d = delay[n], slot = now < d ? now + longest - d : now - d, waiting = own.counts[slot];
      if (t < d) continue;
      own.due.need(count + waiting + 1);
      uint64_t *const row = own.waiting[slot].at, **const to = own.due.at;
      // No branch, which nobody could foretell.
      for (I k = 0; k < waiting; ++k) to[count] = row + k, count += (I)(row[k] >> DELAY_AT) == d;
    }
    uint64_t events = 0, chunks = 0, *const *const due = own.due.at;
    for (I n = 0; n < count; ++n) {
      if (n + AHEAD < count) {
        const uint64_t later = *due[n + AHEAD] & PLACE_OF_ROW;
        fetch_row(places + later, weights + later, true);
      };
      uint64_t row = *due[n];
      const uint64_t d = row >> DELAY_AT;
      do {
        const I at = (I)(row & PLACE_OF_ROW);
        arrive(own.sums, places + at + HEADER, weights + at + HEADER, places[at]);
        events += places[at];
        ++chunks;
        row = after(row);
      } while (row >> DELAY_AT == d);
      *due[n] = row;
      if (row != NO_ROW) fetch_row(places + (row & PLACE_OF_ROW), weights + (row & PLACE_OF_ROW), false);
    }
    own.events += events;
    own.chunks += chunks;
  }
  void look(I o, I row) const {
    for (I n = 0; n < watches; ++n) {
      const Watch& w = watch[n];
      const Population& p = population[w.population];
      const I *const range = p.ranges + o * (2 + p.inputs), begin = range[0], end = range[1];
      for (I k = 0; k < w.count; ++k)
        if (w.neuron[k] >= begin && w.neuron[k] < end) w.to[row * w.count + k] = w.field[w.neuron[k]];
    }
  }
  void keep(I o, I t) const {
    if (!keeps || (t - origin) % every) return;
    for (I n = 0; n < keeps; ++n) {
      const Kept& k = kept[n];
      const I *const range = population[k.population].ranges + o * (2 + population[k.population].inputs);
      if (range[0] >= range[1]) continue;
      __builtin_memcpy(k.to + ((t - origin) / every * k.length + range[0]) * k.size, k.field + range[0] * k.size,
                       (__SIZE_TYPE__)((range[1] - range[0]) * k.size));
    }
  }
  void learn(I o, I t) {
    for (I k = 0; k < changing.count; ++k) {
      const Group& g = changing.group[k];
      const Population& p = population[g.target];
      const I* const range = p.ranges + o * (2 + p.inputs);
      if (!g.releases && range[0] < range[1])
        changing.learn(o, k, t, range[0], range[1], range[2 + g.receptor], owner[o].spikes[t & 1] + p.first + range[0],
                       owner[o].found[t & 1][g.target], p.first);
    }
  }
  // The populations of an owner move on.
  void update(I o, I t) {
    Owner& own = owner[o];
    void* inputs[16];
    for (I n = 0; n < populations; ++n) {
      const Population& p = population[n];
      const I* const range = p.ranges + o * (2 + p.inputs);
      const I begin = range[0], end = range[1];
      own.found[t & 1][n] = 0;
      if (begin >= end) continue;
      for (I k = 0; k < p.inputs; ++k) {
        inputs[k] = own.arrived + range[2 + k];
#ifdef FROZEN
        Sum* const sums = own.sums + range[2 + k];
        for (I j = 0; j < end - begin; ++j) {
          ((NUMBER*)inputs[k])[j] = scale * (NUMBER)sums[j];
          sums[j] = 0;
        }
#endif
      }
      for (I k = 0; k < drives; ++k)
        if (outside[k].population == n) drive(outside[k], (NUMBER*)inputs[outside[k].input], begin, end, t);
      int32_t* const spike = own.spikes[t & 1] + p.first + begin;
      const I found = p.step ? p.step(p.tensors, inputs, begin, end, p.first, spike)
                             : given((const int32_t*)p.tensors[0], p.spikes, t, begin, end, p.first, spike);
      own.found[t & 1][n] = found;
      if (changing.count) changing.release(n, spike, found, t);
      for (I k = 0; k < found; ++k) {
        own.record[2 * own.recorded] = (int32_t)t;
        own.record[2 * own.recorded++ + 1] = spike[k];
      }
    }
    if (own.recorded + most > room) full[t & 1] = 1;
  }
};

// tensors: places, weights, offsets [owners, neurons], recent spikes (step, neuron), the record [owners, room, 2],
// figures [owners, TAKEN], accumulators one owner after the other, those of whole numbers (or the same), the scale, those of each population, each drive, each
// watch, each field that is kept.
// sizes: threads, owners, populations, first step, steps, longest delay, neurons, recent spikes, room, delays, drives,
// watches, steps between two exchanges, the most spikes of an owner before it may stop, fields that are kept, every how
// many steps, from which one on;
// the accumulators of each owner; the delays; of each population the first neuron, neurons, inputs, tensors, spikes that are
// given, and its ranges; of each drive its population, input, stream, repeats, whether a current
// has one value for each neuron; of each watch its population and how many neurons; of each field that is kept its
// population, bytes of a number, and length. functions: the step of each population, and the exchange between processes,
// null if there is one. Returns the steps that were taken: fewer where there would be no room for more spikes, or others
// are lost.
extern "C" I run_network(const void* const* functions, void* const* tensors, const I* sizes) {
  Machine m = {};
  m.threads = sizes[0], m.owners = sizes[1], m.populations = sizes[2], m.longest = sizes[5], m.all = sizes[6];
  const I begin = sizes[3], steps = sizes[4], recent = sizes[7];
  m.room = sizes[8], m.delays = sizes[9], m.drives = sizes[10];
  m.watches = sizes[11], m.interval = sizes[12], m.most = sizes[13];
  m.keeps = sizes[14], m.every = sizes[15], m.origin = sizes[16];
  m.exchange = (Exchange)functions[m.populations];
  const I *const widths = sizes + 17, *word = widths + m.owners + m.delays;
  m.delay = widths + m.owners;
  m.places = (const uint16_t*)tensors[0], m.weights = (const Weight*)tensors[1];
  I* const figures = (I*)tensors[5];
  void* const owners = memory_of((m.owners + 1) * (I)sizeof(Owner));
  m.owner = (Owner*)(((uintptr_t)owners + 63) & ~(uintptr_t)63);
  NUMBER* arrived = (NUMBER*)tensors[6];
  Sum* sums = (Sum*)tensors[7];
  m.scale = *(const NUMBER*)tensors[8];
  for (I o = 0; o < m.owners; ++o) {
    Owner own = {};
    own.arrived = arrived;
    own.sums = sums;
    arrived += widths[o], sums += widths[o];
    own.offsets = (const uint64_t*)tensors[2] + o * m.all;
    own.waiting = (Growing<uint64_t>*)alone(m.longest * (I)sizeof(Growing<uint64_t>));
    own.counts = (I*)alone(m.longest * (I)sizeof(I));
    for (I d = 0; d < m.longest; ++d) own.waiting[d] = {}, own.counts[d] = 0;
    own.record = (int32_t*)tensors[4] + o * 2 * m.room;
    for (int k = 0; k < 2; ++k) {
      own.spikes[k] = (int32_t*)alone((m.all + 1) * (I)sizeof(int32_t));
      own.found[k] = (I*)alone(m.populations * (I)sizeof(I));
      for (I n = 0; n < m.populations; ++n) own.found[k][n] = 0;
    }
    m.owner[o] = own;
  }
  void* const* tensor = tensors + 9;
  m.population = (Population*)memory_of(m.populations * (I)sizeof(Population));
  for (I n = 0; n < m.populations; ++n) {
    m.population[n] = {word[0], word[2], word[4], (Step)functions[n], tensor, word + POPULATION_WORDS};
    tensor += word[3];
    word += POPULATION_WORDS + m.owners * (2 + word[2]);
  }
  m.outside = (Drive*)memory_of(m.drives * (I)sizeof(Drive));
  for (I n = 0; n < m.drives; ++n, word += DRIVE_WORDS, tensor += DRIVE_TENSORS)
    m.outside[n] = drive_of(word, tensor);
  m.watch = (Watch*)memory_of(m.watches * (I)sizeof(Watch));
  for (I n = 0; n < m.watches; ++n, word += WATCH_WORDS, tensor += WATCH_TENSORS)
    m.watch[n] = {word[0], word[1], (const NUMBER*)tensor[0], (const I*)tensor[1], (NUMBER*)tensor[2]};
  m.kept = (Kept*)memory_of(m.keeps * (I)sizeof(Kept));
  for (I n = 0; n < m.keeps; ++n, word += KEPT_WORDS, tensor += 2)
    m.kept[n] = {word[0], word[1], word[2], (const char*)tensor[0], (char*)tensor[1]};
  m.changing.open(word, tensor, m.owners, m.longest, m.all, (const int32_t*)tensors[3], recent);
  I taken = 0;
#pragma omp parallel num_threads(m.threads)
  {
    const I threads = threads_here(), id = thread_number();
    I done = 0;
    uint64_t waited = 0;
    for (; done < steps; ++done) {
      const I t = begin + done;
      for (I o = id; o < m.owners; o += threads) {
        Owner& own = m.owner[o];
        const uint64_t first = ticks();
        if (!done)
          m.take_up(own, (const int32_t*)tensors[3], recent, t), m.changing.start(o, t);
        else if (!m.exchange)
          m.take(own, t);
        else if (done % m.interval == 0)
          m.take_heard(own, t);
        m.deliver(own, t);
        if (m.changing.count) own.events += m.changing.deliver(o, own.sums, t, m.delay, m.delays);
        const uint64_t second = ticks();
        m.keep(o, t);
        m.update(o, t);
        m.learn(o, t);
        m.look(o, done);
        own.delivering += second - first;
        own.updating += ticks() - second;
      }
      const uint64_t arrival = ticks();
      m.barrier.wait(threads);
      const bool meets = m.exchange && ((done + 1) % m.interval == 0 || done + 1 == steps);
      if (meets) {
        if (!id && !m.swap(t, figures + m.owners * TAKEN)) m.full[t & 1] = 1;
        m.barrier.wait(threads);
      }
      waited += ticks() - arrival;
      if (m.full[t & 1]) {
        ++done;
        break;
      }
    }
    if (id < m.owners) figures[id * TAKEN + 4] += (I)waited;
    if (!id) taken = done;
  }
  m.changing.pass((const int32_t*)tensors[3], recent, begin + taken - m.longest);
  for (I o = 0; o < m.owners; ++o) {
    Owner& own = m.owner[o];
    m.changing.pass(own.record, own.recorded, begin + taken - m.longest);
    I* const f = figures + o * TAKEN;
    f[0] += (I)own.events, f[1] += (I)own.chunks, f[2] += (I)own.delivering, f[3] += (I)own.updating;
    ((I*)tensors[5])[m.owners * TAKEN + o] = own.recorded;
    for (I d = 0; d < m.longest; ++d) free(own.waiting[d].at);
    free(own.waiting), free(own.counts), free(own.due.at);
    for (int k = 0; k < 2; ++k) free(own.spikes[k]), free(own.found[k]);
  }
  m.changing.close();
  free(owners), free(m.population), free(m.outside), free(m.watch), free(m.kept);
  return taken;
}
