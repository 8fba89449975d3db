// What comes from outside. After rows.h; NUMBER is the type of all inputs.
enum { POISSON = 5, BLOCK_OF_DRIVE = AT_ONCE };  // kind of counters; neurons

// Poisson spikes from outside, and a constant current: the number of spikes is drawn by the alias method from one word,
// whose lower 4 bits choose one of 16 numbers and which, where it is not below a threshold, stands for another number.
struct Drive {
  I population, input, repeats, each;  // each: whether a current has one value for each neuron
  uint32_t stream;
  const uint32_t* threshold;
  const NUMBER *value, *other, *current;  // of 16 numbers of spikes; one, or null
};
static inline Drive drive_of(const I* words, void* const* tensors) {
  return {words[0], words[1], words[3], words[4], (uint32_t)words[2], (const uint32_t*)tensors[0],
          (const NUMBER*)tensors[1], (const NUMBER*)tensors[2], (const NUMBER*)tensors[3]};
}
static inline void drive(const Drive& d, NUMBER* to, I begin, I end, I t) {
  if (d.current)
    for (I j = 0; j < end - begin; ++j) to[j] += d.current[d.each ? begin + j : 0];
  for (I repeat = 0; repeat < d.repeats; ++repeat)
    for (I j = begin; j < end; j += BLOCK_OF_DRIVE) {
      NUMBER* const at = to + (j - begin);
#if defined(__AVX512F__) && defined(__AVX512DQ__) && !defined(__clang__)
      const Candidates drawn = candidates(d.stream, POISSON + (uint32_t)repeat, t, j / 4);
      const U threshold = (U)load<F>((const float*)d.threshold);
      if (sizeof(NUMBER) == sizeof(float)) {
        const F value = load<F>((const float*)d.value), other = load<F>((const float*)d.other);
        for (int k = 0; k < 4; ++k) {
          const U word = drawn.word[k];
          const N below = (N)(word < __builtin_shuffle(threshold, word));
          const F added = below ? __builtin_shuffle(value, word) : __builtin_shuffle(other, word);
          store((float*)at + 16 * k, load<F>((const float*)at + 16 * k) + added, false);
        }
        continue;
      }
#endif
      uint32_t words[BLOCK_OF_DRIVE];
      words_of(d.stream, POISSON + (uint32_t)repeat, t, j / BLOCK_OF_DRIVE, words);
      for (int k = 0; k < BLOCK_OF_DRIVE; ++k) {
        const uint32_t bin = words[k] & 15;
        at[k] += words[k] < d.threshold[bin] ? d.value[bin] : d.other[bin];
      }
    }
}

// The spikes of a step in a list (step, neuron) that is ordered, of some neurons.
static inline I given(const int32_t* list, I count, I t, I begin, I end, I first, int32_t* to) {
  I low = 0, high = count, found = 0;
  while (low < high) {
    const I middle = (low + high) / 2;
    if (list[2 * middle] < t)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < count && list[2 * low] == t; ++low)
    if (list[2 * low + 1] >= begin && list[2 * low + 1] < end) to[found++] = (int32_t)(first + list[2 * low + 1]);
  return found;
}
