// What a spike that comes later changes, where the gradient is that of the times of spikes. After run.h, before
// reverse.h, where weights are not frozen.
//
// A potential crosses its threshold within a step; that a spike of step n comes a step later changes
// - what arrives: by weight times (gradient of the input in step n + d + 1 less that in n + d), for each synapse;
// - the state of the neuron: its change before the spike, taken through reset, less its change behind it, times its
//   gradient; likewise at the end of a refractory period, which comes later, too;
// - what is watched: before the reset it is another;
// and it comes later by minus the change of the potential in its step, over how far the potential moves in a step.
#ifndef FROZEN
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

enum { TOUCHED = 16, FIELDS = 64, INPUTS = 16 };  // neurons that are looked at together

// Of a population: what is looked at in a step (null where spikes are given), how many fields its state has, which one is
// the potential, for how many steps it is held after a spike; bytes of a number of each field; which fields are
// replayed, and which have a gradient; bytes of a gradient of each parameter.
struct Crossings {
  Step step;
  I leaves, potential, hold, count;
  const I *sizes, *replayed, *carried, *learned;
  void* const* held;
  void* const* always;  // what comes to each input in every step
  double* waiting;      // of each neuron: what is known of its next spike in reverse time
};

static inline double number_at(const void* from, I size, I k) {
  return size == 8 ? ((const double*)from)[k] : (double)((const float*)from)[k];
}
// An array of which a few neurons are there, as one of all.
static inline void* as_whole(void* some, I size, I begin) { return (void*)((uintptr_t)some - (uintptr_t)(begin * size)); }

// Room for a few neurons: fields after a step without a spike, the share of the step at which they cross, how fields
// move; inputs, gradients.
struct Looked {
  alignas(64) char fields[2 * FIELDS + 1][TOUCHED * 8];
  NUMBER inputs[3 * INPUTS][TOUCHED];
  char moved[FIELDS][TOUCHED * 8];
  char gradients[1 + FIELDS][TOUCHED * 8];
  Growing<char[TOUCHED * 8]> learned;
  Growing<void*> tensors;
  char arrives[1 + 2 * FIELDS];

  // The step of some neurons from a row of fields: its own inputs are given, or those of the step before, at whose end
  // they came, in front of what comes in every step.
  void look(const Crossings& c, I inputs, void* const* fields_at, I row, I replayed, void* const* x, bool own, I low,
            I begin) {
    for (I k = 0; k < c.leaves; ++k) __builtin_memset(fields[k], 0, TOUCHED * 8);
    for (I i = 0; i < replayed; ++i) {
      const I size = c.sizes[c.replayed[i]];
      __builtin_memcpy(fields[c.replayed[i]], (const char*)fields_at[i] + (row + begin) * size,
                       (__SIZE_TYPE__)(TOUCHED * size));
    }
    void* pointers[3 * INPUTS];
    for (I k = 0; k < inputs; ++k) {
      const NUMBER *const always = (const NUMBER*)c.always[k] + begin, *const given = (const NUMBER*)x[k] + (begin - low);
      for (I l = 0; l < TOUCHED; ++l) {
        this->inputs[k][l] = own ? given[l] : always[l];
        this->inputs[inputs + k][l] = always[l];
        this->inputs[2 * inputs + k][l] = own ? 0 : given[l] - always[l];
      }
      for (I part = 0; part < 3; ++part) pointers[part * inputs + k] = this->inputs[part * inputs + k];
    }
    tensors.need(2 * c.leaves + 1 + c.count);
    for (I k = 0; k < 2 * c.leaves + 1; ++k) {
      const I field = k < c.leaves ? k : k == c.leaves ? c.potential : k - c.leaves - 1;
      tensors.at[k] = as_whole(fields[k], c.sizes[field], begin);
    }
    for (I k = 0; k < c.count; ++k) tensors.at[2 * c.leaves + 1 + k] = c.held[k];
    int32_t some[TOUCHED];
    c.step(tensors.at, pointers, begin, begin + TOUCHED, 0, some);
  }
  double share(const Crossings& c, I l) const { return number_at(fields[c.leaves], c.sizes[c.potential], l); }
  double after(const Crossings& c, I field, I l) const { return number_at(fields[field], c.sizes[field], l); }
  double change(const Crossings& c, I field, I l) const {
    return number_at(fields[c.leaves + 1 + field], c.sizes[field], l);
  }

  // A gradient of some neurons back through a step: of their fields, or, where there is none, of one for each spike.
  void turn(const Crossings& c, const Learner& p, void* const* before, void* const* x, const char* came, I low, I begin) {
    void *pointers[INPUTS], *to[1 + FIELDS];
    for (I k = 0; k < p.inputs; ++k) {
      for (I l = 0; l < TOUCHED; ++l) inputs[k][l] = ((const NUMBER*)x[k])[begin - low + l];
      pointers[k] = inputs[k];
    }
    for (I l = 0; l < TOUCHED; ++l) ((NUMBER*)gradients[0])[l] = came ? 0 : 1;
    to[0] = as_whole(gradients[0], sizeof(NUMBER), begin);
    arrives[0] = !came;
    for (I k = 0; k < p.carried; ++k) {
      const I size = c.sizes[c.carried[k]];
      if (came)
        __builtin_memcpy(gradients[1 + k], (const char*)p.gradients()[1 + k] + begin * size,
                         (__SIZE_TYPE__)(TOUCHED * size));
      else
        __builtin_memset(gradients[1 + k], 0, TOUCHED * 8);
      to[1 + k] = as_whole(gradients[1 + k], size, begin);
      arrives[1 + k] = came ? came[1 + k] : 0;
    }
    tensors.need(1 + p.carried + p.learned);
    learned.need(p.learned + 1);
    for (I k = 0; k < 1 + p.carried; ++k) tensors.at[k] = to[k];
    for (I k = 0; k < p.learned; ++k) {
      __builtin_memset(learned.at[k], 0, TOUCHED * 8);
      tensors.at[1 + p.carried + k] = as_whole(learned.at[k], c.learned[k], begin);
    }
    p.reverse(p.tensors, pointers, before, tensors.at, arrives, begin, begin + TOUCHED);
  }
  // The gradient that came out, times how fields move, which was put aside.
  double along(const Crossings& c, const Learner& p, I l) const {
    double sum = 0;
    for (I k = 0; k < p.carried; ++k)
      if (arrives[1 + p.carried + k]) {
        const I field = c.carried[k], size = c.sizes[field];
        sum += number_at(gradients[1 + k], size, l) * number_at(moved[field], size, l);
      }
    return sum;
  }
  void put_aside(const Crossings& c) {
    for (I k = 0; k < c.leaves; ++k) __builtin_memcpy(moved[k], fields[c.leaves + 1 + k], TOUCHED * 8);
  }
  void drop() { free(learned.at), free(tensors.at); }
};
#endif
