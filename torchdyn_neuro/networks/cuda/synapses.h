// The synapses of a network for a device, on which a row is delivered at once: one row for each presynaptic neuron, each
// synapse a word (the accumulator, the delay above it) and a whole number as its weight. After run.h.

// How many synapses with a weight each neuron has. tensors: places, weights, offsets [owners, neurons], their numbers
// [neurons], to which they are added. sizes: threads, owners, neurons. Returns how many an accumulator has at most.
extern "C" I count_synapses(void* const* tensors, const I* sizes) {
  const uint16_t* const places = (const uint16_t*)tensors[0];
  const Weight* const weights = (const Weight*)tensors[1];
  const uint64_t* const offsets = (const uint64_t*)tensors[2];
  I* const counts = (I*)tensors[3];
  return most_onto(offsets, sizes, [&](I s, uint64_t row, I* onto) {
    I found = 0;
    each_synapse(places, row, [&](I at, I) {
      const I counts_here = weights[at] != 0;
      found += counts_here, onto[places[at]] += counts_here;
    });
#pragma omp atomic
    counts[s] += found;
  });
}

template <class Word, class Number>
static void list_rows(void* const* tensors, const I* sizes) {
  const uint16_t* const places = (const uint16_t*)tensors[0];
  const Weight* const weights = (const Weight*)tensors[1];
  const uint64_t* const offsets = (const uint64_t*)tensors[2];
  const I* const starts = (const I*)tensors[3];
  const int32_t* const where = (const int32_t*)tensors[4];
  const double per = *(const double*)tensors[5];
  Word* const words = (Word*)tensors[6];
  Number* const numbers = (Number*)tensors[7];
  const I owners = sizes[1], all = sizes[2], first = sizes[3], last = sizes[4], bits = sizes[5];
#pragma omp parallel for num_threads(sizes[0]) schedule(dynamic, 16)
  for (I s = first; s < last; ++s) {
    I to = starts[s] - starts[first];
    for (I owner = 0; owner < owners; ++owner)
      each_synapse(places, offsets[owner * all + s], [&](I at, I delay) {
        if (weights[at] == 0) return;
        words[to] = (Word)delay << bits | (Word)where[owner * ACCUMULATORS + places[at]];
        numbers[to++] = (Number)__builtin_rint((double)weights[at] * per);
      });
  }
}
// The rows of some neurons, one behind the other. tensors: places, weights, offsets, where each neuron's synapses begin
// [neurons + 1], of each owner the accumulators on the device [owners, ACCUMULATORS], units in a weight of one, then the
// words and the weights. sizes: threads, owners, neurons, the first of them, the one behind the last, the bits of an
// accumulator, those of a word, those of a weight.
extern "C" void list_synapses(void* const* tensors, const I* sizes) {
  if (sizes[6] == 32)
    sizes[7] == 16   ? list_rows<uint32_t, int16_t>(tensors, sizes)
    : sizes[7] == 32 ? list_rows<uint32_t, int32_t>(tensors, sizes)
                     : list_rows<uint32_t, int64_t>(tensors, sizes);
  else
    sizes[7] == 16   ? list_rows<uint64_t, int16_t>(tensors, sizes)
    : sizes[7] == 32 ? list_rows<uint64_t, int32_t>(tensors, sizes)
                     : list_rows<uint64_t, int64_t>(tensors, sizes);
}
