// The synapses of a network as they are delivered. After rows.h; NUMBER is the type of the weights.
//
// Neurons belong to owners, each of which has accumulators for its own. What a neuron sends to one owner is a row, sorted
// by delay: chunks of a header of two words (how many synapses; the delay of the chunk after it, 0 behind the last) and
// the accumulators of its synapses, 16 bits each. Their weights lie at the same places of another array. A chunk is filled
// up to a multiple of WHOLE by synapses of no weight, so that no loop over it ends where nobody foretells. An offset says
// where a row begins (48 bits) and what its first delay is (16 bits); all its bits are set where there is none.
enum { HEADER = 2, WHOLE = 4, MOST_TOGETHER = 65528, DELAY_AT = 48, ACCUMULATORS = 1 << 16 };
static inline I filled(I count) { return (count + WHOLE - 1) / WHOLE * WHOLE; }
static const uint32_t ELSEWHERE = ~(uint32_t)0;  // the accumulator of a neuron of another process
static const uint64_t NO_ROW = ~(uint64_t)0, PLACE_OF_ROW = ((uint64_t)1 << DELAY_AT) - 1;

// Where synapse number k of a chunk that begins at a place goes; a chunk of too many is several of one delay.
static inline I placed(I begin, I k) { return begin + k + HEADER * (k / MOST_TOGETHER + 1); }

// The rows of one population: their lengths, or, once it is known where they begin, the rows themselves. tensors: those of
// the rules, the accumulators of the neurons of each rule (owner in the upper 16 bits; or ELSEWHERE), lengths and offsets [owners,
// neurons], places, weights, the number of synapses, to which theirs are added; of each rule, or null, how many synapses
// each row has, then where it begins, and the place of each synapse in the order of the rows. sizes: threads, whether rows are written, rules, owners, longest delay, neurons of all, the
// first of the population, how many it has, the words of the rules.
extern "C" void pack_rows(void* const* tensors, const I* sizes, const double* numbers) {
  const bool writes = sizes[1];
  const I rules = sizes[2], owners = sizes[3], longest = sizes[4], all = sizes[5], first = sizes[6], neurons = sizes[7];
  Rule* const rule = (Rule*)memory_of(rules * (I)sizeof(Rule));
  for (I n = 0; n < rules; ++n)
    rule[n] = rule_of(sizes + 8 + n * RULE_WORDS, numbers + n * RULE_NUMBERS, tensors + n * RULE_TENSORS);
  void* const* const rest = tensors + rules * RULE_TENSORS;
  I* const lengths = (I*)rest[rules];
  uint64_t* const offsets = (uint64_t*)rest[rules + 1];
  uint16_t* const places = (uint16_t*)rest[rules + 2];
  NUMBER* const weights = (NUMBER*)rest[rules + 3];
  I* const synapses = (I*)rest[rules + 4];
  void* const* const listed = rest + rules + 5;
#pragma omp parallel num_threads(sizes[0])
  {
    Row row = {};
    Growing<uint16_t> slot = {};
    Growing<uint32_t> key = {};
    Growing<NUMBER> value = {};
    const I keys = owners * longest;
    I drawn = 0;
    I* const before = (I*)memory_of((rules + 1) * (I)sizeof(I));
    I *const bins = (I*)memory_of(keys * (I)sizeof(I)), *const begin = (I*)memory_of(keys * (I)sizeof(I));
#pragma omp for schedule(dynamic, 16)
    for (I s = 0; s < neurons; ++s) {
      for (I k = 0; k < keys; ++k) bins[k] = 0;
      I count = 0;
      for (I n = 0; n < rules; ++n) {
        draw_row(rule[n], s, row);
        before[n] = count;
        const uint32_t* const where = (const uint32_t*)rest[n];
        const bool one_delay = !rule[n].delay && alike(rule[n].delays);
        const I delay = one_delay && row.count ? delay_of(rule[n], s, row, 0) : 0;
        slot.need(count + row.count), key.need(count + row.count), value.need(count + row.count);
        for (I k = 0; k < row.count; ++k) {
          const uint32_t at = where[row.place.at[k]];
          if (at == ELSEWHERE) continue;
          const I d = one_delay ? delay : delay_of(rule[n], s, row, k);
          key.at[count] = (uint32_t)((at >> 16) * longest + d - 1);
          ++bins[key.at[count]];
          if (writes) {
            slot.at[count] = (uint16_t)at;
            value.at[count] = weight_of<NUMBER>(rule[n], s, row, k);
          }
          ++count;
        }
        if (!writes && listed[2 * n]) ((I*)listed[2 * n])[s] = count - before[n];
      }
      drawn += count;
      for (I owner = 0; owner < owners; ++owner) {
        const I row_number = owner * all + first + s;
        if (!writes) {
          I length = 0;
          for (I d = 0; d < longest; ++d)
            if (const I found = bins[owner * longest + d])
              length += filled(found) + HEADER * ((found + MOST_TOGETHER - 1) / MOST_TOGETHER);
          lengths[row_number] = length;
          continue;
        }
        I at = (I)offsets[row_number], last = -1;
        uint64_t head = NO_ROW;
        for (I d = 0; d < longest; ++d) {
          const I found = bins[owner * longest + d];
          begin[owner * longest + d] = at;
          for (I done = 0; done < found; done += MOST_TOGETHER) {
            const I together = found - done < MOST_TOGETHER ? found - done : MOST_TOGETHER;
            if (last >= 0) places[last + 1] = (uint16_t)(d + 1);
            if (head == NO_ROW) head = (uint64_t)at | (uint64_t)(d + 1) << DELAY_AT;
            last = at;
            const I end = at + HEADER + filled(together);
            places[at] = (uint16_t)filled(together), places[at + 1] = 0;
            weights[at] = weights[at + 1] = 0;
            for (I k = at + HEADER + together; k < end; ++k) places[k] = 0, weights[k] = 0;
            at = end;
          }
        }
        offsets[row_number] = head;
      }
      if (!writes) continue;
      for (I k = 0; k < keys; ++k) bins[k] = 0;
      before[rules] = count;
      for (I n = 0; n < rules; ++n) {
        I* const listing = listed[2 * n + 1] ? (I*)listed[2 * n + 1] + ((const I*)listed[2 * n])[s] : nullptr;
        for (I k = before[n]; k < before[n + 1]; ++k) {
          const I to = placed(begin[key.at[k]], bins[key.at[k]]++);
          places[to] = slot.at[k];
          weights[to] = value.at[k];
          if (listing) listing[k - before[n]] = to;
        }
      }
    }
#pragma omp atomic
    *synapses += drawn;
    row.drop();
    free(slot.at), free(key.at), free(value.at), free(bins), free(begin), free(before);
  }
  free(rule);
}
// All synapses of a row in their order: their places and delays.
template <class Each> static inline void each_synapse(const uint16_t* places, uint64_t row, const Each& each) {
  while (row != NO_ROW) {
    const I begin = (I)(row & PLACE_OF_ROW) + HEADER, end = begin + places[begin - HEADER], delay = (I)(row >> DELAY_AT);
    for (I at = begin; at < end; ++at) each(at, delay);
    const uint64_t next = places[begin - HEADER + 1];
    row = next ? (uint64_t)end | next << DELAY_AT : NO_ROW;
  }
}

// The most that comes onto an accumulator where add(neuron, row, sums) adds up what a row brings. sizes: threads, owners,
// neurons.
template <class Add> static inline I most_onto(const uint64_t* offsets, const I* sizes, const Add& add) {
  const I owners = sizes[1], all = sizes[2];
  I most = 0;
#pragma omp parallel num_threads(sizes[0])
  {
    I* const sums = (I*)memory_of(ACCUMULATORS * (I)sizeof(I));
#pragma omp for schedule(dynamic, 1) reduction(max : most)
    for (I owner = 0; owner < owners; ++owner) {
      for (I k = 0; k < ACCUMULATORS; ++k) sums[k] = 0;
      for (I s = 0; s < all; ++s) add(s, offsets[owner * all + s], sums);
      for (I k = 0; k < ACCUMULATORS; ++k) most = sums[k] > most ? sums[k] : most;
    }
    free(sums);
  }
  return most;
}
// The most that all synapses of a neuron bring together, in units of frozen weights, whatever their sign. tensors: places,
// weights of 16 bits, offsets. sizes: threads, owners, neurons.
extern "C" I most_arriving(void* const* tensors, const I* sizes) {
  const uint16_t* const places = (const uint16_t*)tensors[0];
  const int16_t* const weights = (const int16_t*)tensors[1];
  return most_onto((const uint64_t*)tensors[2], sizes, [&](I, uint64_t row, I* sums) {
    each_synapse(places, row, [&](I at, I) { sums[places[at]] += weights[at] < 0 ? -weights[at] : weights[at]; });
  });
}
// New memory in large pages.
extern "C" void large(void* const* tensors, const I* sizes) {
  for (I n = 0; n < sizes[0]; ++n) large_pages(tensors[n], sizes[1 + n]);
}
