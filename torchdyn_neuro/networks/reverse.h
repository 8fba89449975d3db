// The derivative of many steps of a network, from the last to the first. After timing.h, where weights are not frozen.
//
// Segment by segment: states are computed again, then reverse time walks the rows. A gradient of inputs takes the place of
// the inputs of its step. Rows are walked for all steps of a block, which is no longer than the shortest delay: what the
// spikes of a block meet is known before it is gone back. Owners go through a segment by themselves but for one barrier
// in each block, when the sums over the parts of a row are there, which are added in the order of the owners: nothing
// depends on threads.
#ifndef FROZEN
struct Backwards : Timing {
  void back(Part& own, I o, I a, I t, I row) {
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
        for (I q = 0; q < owners; ++q) sum += part[q].sums[row * all + near[k]];
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
        // Half of what it would count for a step later less that a step before, either of which may be in another bin.
        const bool first = left + 1 == readout[r].width && bin, last = t + 1 == end, next = !left;
        const NUMBER* const before = first ? each - p.neurons : each;
        const NUMBER* const later = next && !last ? each + p.neurons : each;
        const NUMBER less = readout[r].power[first ? 0 : left + 1];
        const NUMBER more = last ? power : readout[r].power[next ? readout[r].width - 1 : left - 1];
        for (I k = at[0]; k < at[1]; ++k)
          gradient[near[k] - p.first] += (later[near[k]] * more - before[near[k]] * less) * (last ? 1 : (NUMBER).5);
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
// drives, readouts, watches, steps of a block, populations whose times have a gradient (all or none), whether only times
// are found; accumulators of each owner; of each population the words of a Learner, bytes of a number of each state,
// ranges; of each drive its words; of each readout its population and width; of each watch its population, the carried
// state and how many neurons; of each population the words of Crossings. functions: replay and reverse of each
// population, then what is looked at in each.
extern "C" void reverse_network(const void* const* functions, void* const* tensors, const I* sizes) {
  Backwards m = {};
  m.threads = sizes[0], m.owners = sizes[1], m.populations = sizes[2], m.begin = sizes[3], m.end = sizes[4];
  m.longest = sizes[5], m.every = sizes[6], m.all = sizes[7], m.drives = sizes[8], m.readouts = sizes[9];
  m.watches = sizes[10], m.turns = m.every + m.longest + 1;
  m.together = sizes[11];
  const I timed = sizes[12], looks = sizes[13], *word = sizes + 14;
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
    own.sums = (NUMBER*)memory_of((2 * m.together * m.all + 1) * (I)sizeof(NUMBER));
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
      for (I end = b, begin, half = 0; end > a; end = begin, half ^= 1) {
        begin = end - m.together > a ? end - m.together : a;
        const I row = half * m.together - begin;
        for (I o = id; o < m.owners; o += threads)
          for (I t = end - 1; t >= begin; --t) m.walk(m.part[o], a, t, row + t);
        m.barrier.wait(threads);
        for (I o = id; o < m.owners; o += threads)
          for (I t = end - 1; t >= begin; --t) m.back(m.part[o], o, a, t, row + t);
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
    free(own.near.at), free(own.starts), free(own.buffer), free(own.arrives), free(own.sums);
  }
  free(parts), free(m.learner), free(m.outside), free(m.readout), free(m.seen), free(crossings);
}
#endif
