// The parts of a network as it runs. After changing.h; NUMBER is the type of all inputs.
typedef I (*Step)(void* const* tensors, void* const* inputs, I begin, I end, I first, int32_t* spikes);
// Gives the spikes of this process up to a step away and takes those of all, in order: where they lie, null if they do
// not come.
typedef const int32_t* (*Exchange)(I end, I* count);

// The synapses of a chunk.
static __attribute__((noinline)) void arrive(Sum* to, const uint16_t* place, const Weight* weight, I count) {
  for (I k = 0; k < count; k += WHOLE)
#pragma GCC unroll 4
    for (I j = k; j < k + WHOLE; ++j) to[place[j]] += weight[j];
}

struct Population {
  I first, inputs, spikes;
  Step step;
  void* const* tensors;
  const I* ranges;  // of each owner: first neuron, end, accumulators of each input
};

// Neurons of a population of which a field is kept after each step.
struct Watch {
  I population, count;
  const NUMBER* field;
  const I* neuron;
  NUMBER* to;  // [steps, count]
};

// A field that is kept every so many steps, as it is before the step.
struct Kept {
  I population, size, length;
  const char* field;
  char* to;  // [times, length]
};

// Memory in lines of the caches that no other owner writes to.
static inline void* alone(I bytes) { return memory_of(bytes + 128); }

// What one owner keeps.
struct alignas(64) Owner {
  NUMBER* arrived;
  Sum* sums;  // the same, but where weights are frozen
  const uint64_t* offsets;
  Growing<uint64_t>* waiting;  // of each of the last steps: where the rows of its spikes have got to
  I* counts;
  Growing<uint64_t*> due;
  int32_t *record, *spikes[2];
  I recorded, *found[2];
  uint64_t events, chunks, delivering, updating;
};
