// What comes from outside. After rows.h; NUMBER is the type of all inputs.
enum { POISSON = 5, BLOCK_OF_DRIVE = AT_ONCE };  // kind of counters; neurons
// Of Philox: half of the time of a step goes here, and 7 pass BigCrush as the usual 10 do (Salmon et al. 2011, table 2).
enum { ROUNDS_OF_DRIVE = 7 };

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
#if defined(__AVX512F__) && defined(__AVX512DQ__) && !defined(__clang__)
// So many blocks of neurons at once: they share the keys of each round, and one does not wait for the other.
template <int COUNT> INLINE void drive_blocks(const Drive& d, float* to, I repeat, I t, I first) {
  const U threshold = (U)load<F>((const float*)d.threshold);
  const F value = load<F>((const float*)d.value), other = load<F>((const float*)d.other);
  L keys[COUNT * PARTS];
  for (int k = 0; k < COUNT * PARTS; ++k)
    for (int l = 0; l < WIDTH / 8; ++l) keys[k][l] = first / 4 + k * (WIDTH / 8) + l + (t << 32);
  const Words<COUNT * PARTS> words = philox<COUNT * PARTS, ROUNDS_OF_DRIVE>(keys, d.stream, POISSON + (uint32_t)repeat);
#pragma GCC unroll 2
  for (int n = 0; n < COUNT; ++n)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      float* const at = to + BLOCK_OF_DRIVE * n + 16 * k;
      const U word = lower(words.lane[k] + n * PARTS);
      const N below = (N)(word < __builtin_shuffle(threshold, word));
      const F added = below ? __builtin_shuffle(value, word) : __builtin_shuffle(other, word);
      store(at, load<F>(at) + added, false);
    }
}
#endif
static inline void drive(const Drive& d, NUMBER* to, I begin, I end, I t) {
  if (d.current)
    for (I j = 0; j < end - begin; ++j) to[j] += d.current[d.each ? begin + j : 0];
  for (I repeat = 0; repeat < d.repeats; ++repeat) {
    I j = begin;
#if defined(__AVX512F__) && defined(__AVX512DQ__) && !defined(__clang__)
    if (sizeof(NUMBER) == sizeof(float)) {
      for (; j + BLOCK_OF_DRIVE < end; j += 2 * BLOCK_OF_DRIVE) drive_blocks<2>(d, (float*)to + (j - begin), repeat, t, j);
      for (; j < end; j += BLOCK_OF_DRIVE) drive_blocks<1>(d, (float*)to + (j - begin), repeat, t, j);
    }
#endif
    for (; j < end; j += BLOCK_OF_DRIVE) {
      NUMBER* const at = to + (j - begin);
      uint32_t words[BLOCK_OF_DRIVE];
      words_of<ROUNDS_OF_DRIVE>(d.stream, POISSON + (uint32_t)repeat, t, j / BLOCK_OF_DRIVE, words);
      for (int k = 0; k < BLOCK_OF_DRIVE; ++k) {
        const uint32_t bin = words[k] & 15;
        at[k] += words[k] < d.threshold[bin] ? d.value[bin] : d.other[bin];
      }
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
