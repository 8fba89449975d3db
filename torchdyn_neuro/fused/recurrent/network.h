// Steps with matrix products inside: a thread carries some rows of the batch through all steps of a program, whose
// segments act on each element by itself. After dense.h.
typedef void (*Run)(void* const* tensors, const I* sizes);
enum { STEP_SIZES = 6, WIDEST_NUMBER = 8, SEGMENT = 0 };  // sizes of a loop before its strides; bytes; kind of a word

// Rows that a thread carries together: they share the weights in its caches. Whatever the number of threads.
static inline I rows_together(I rows) { return least(rows >= 64 ? 8 : rows >= 8 ? 4 : 1, DENSE_ROWS); }

static inline void bring(char* to, const char* from, I bytes) { __builtin_memcpy(to, from, (__SIZE_TYPE__)bytes); }

// Frames of the rows at work: where each one lies at a step.
struct Frames {
  char** at;     // of each frame
  char* memory;  // of those that a thread has for itself
  const I *bytes, *sequence;
  char* const* sequences;
  const I* strides;
  I count;
  void own(I stretch) {
    for (I k = 0; k < count; ++k) at[k] = memory + k * stretch;
  }
  void place(I t, I first) {
    for (I k = 0; k < count; ++k)
      if (sequence[k] >= 0) at[k] = sequences[sequence[k]] + t * strides[sequence[k]] + first * bytes[k];
  }
};

// What a thread needs to run a program.
template <class F> struct Machine {
  const Run* functions;
  char* const* parameters;
  const I* layout;
  char* const* matrices;
  I width;
  double most_active;
  int32_t* places;
  F* values;
  void** tensors;
  I* sizes;

  void segment(const I*& word, char* const* at, I elements, I first) const {
    const Run function = functions[*word++];
    const I given[STEP_SIZES] = {1, elements, 1, 1, 0, first};
    for (int k = 0; k < STEP_SIZES; ++k) sizes[k] = given[k];
    I tensor = 0, size = STEP_SIZES;
    for (I n = *word++; n > 0; --n) {
      tensors[tensor++] = at[*word++];
      sizes[size++] = 0;
    }
    for (I n = *word++; n > 0; --n, ++word) {
      tensors[tensor++] = parameters[*word];
      sizes[size++] = layout[2 * *word];
      sizes[size++] = layout[2 * *word + 1];
    }
    for (I n = *word++; n > 0; --n) tensors[tensor++] = at[*word++];
    function(tensors, sizes);
  }

  void run(const I* word, const I* end, char* const* at, I rows, I first) const {
    while (word < end) {
      if (*word++ == SEGMENT) {
        segment(word, at, rows * width, first);
      } else {
        const F* const matrix = (const F*)matrices[word[0]];
        few_or_dense((const F*)at[word[1]], rows, width, matrix, width, (const F*)0, (F*)at[word[2]], most_active,
                     places, values);
        word += 3;
      }
    }
  }
};

template <class F> static inline Machine<F> machine(
    const Run* functions, char* const* parameters, const I* layout, I count, char* const* matrices, I width, I together,
    I frames, double most_active) {
  return {functions, parameters, layout, matrices, width, most_active, allocate<int32_t>(together * width),
          allocate<F>(together * width), allocate<void*>(frames + count), allocate<I>(STEP_SIZES + frames + 2 * count)};
}
template <class F> static inline void scrap(const Machine<F>& machine) {
  free(machine.places);
  free(machine.values);
  free(machine.tensors);
  free(machine.sizes);
}

// tensors: sequences, first states, last states, checkpoints (null where not kept), parameters, matrices.
// sizes: T, rows, width, every, threads, how many frames, sequences, states, parameters, words; then bytes of each frame,
// its sequence or -1, strides of the sequences in bytes, the frames of states before and after a step, (inner, size) of
// each parameter, the words.
template <class F> static void network_forward(const Run* functions, char* const* t, const I* s, double most_active) {
  const I T = s[0], rows = s[1], width = s[2], every = s[3], threads = s[4];
  const I frames = s[5], sequences = s[6], states = s[7], parameters = s[8], words = s[9];
  const I *bytes = s + 10, *sequence = bytes + frames, *strides = sequence + frames, *before = strides + sequences;
  const I *after = before + states, *layout = after + states, *word = layout + 2 * parameters;
  char *const *start = t + sequences, *const *last = start + states, *const *checkpoint = last + states;
  char *const *parameter = checkpoint + states, *const *matrix = parameter + parameters;
  const I all = rows * width, together = rows_together(rows), stretch = WIDEST_NUMBER * together * width;
#pragma omp parallel num_threads(threads)
  {
    const Machine<F> own = machine<F>(functions, parameter, layout, parameters, matrix, width, together, frames, most_active);
    const Frames frame = {allocate<char*>(frames), allocate<char>(frames * stretch), bytes, sequence, t, strides, frames};
#pragma omp for schedule(dynamic)
    for (I row = 0; row < rows; row += together) {
      const I count = least(together, rows - row), first = row * width, elements = count * width;
      Frames(frame).own(stretch);
      for (I k = 0; k < states; ++k) {
        const I size = bytes[before[k]];
        bring(frame.at[before[k]], start[k] + first * size, elements * size);
      }
      for (I now = 0; now < T; ++now) {
        if (now && now % every == 0)
          for (I k = 0; k < states; ++k) {
            const I size = bytes[before[k]];
            if (checkpoint[k])
              bring(checkpoint[k] + ((now / every - 1) * all + first) * size, frame.at[before[k]], elements * size);
          }
        Frames(frame).place(now, first);
        own.run(word, word + words, frame.at, count, first);
        for (I k = 0; k < states; ++k) {
          char* const next = frame.at[after[k]];
          frame.at[after[k]] = frame.at[before[k]];
          frame.at[before[k]] = next;
        }
      }
      for (I k = 0; k < states; ++k) {
        const I size = bytes[before[k]];
        bring(last[k] + first * size, frame.at[before[k]], elements * size);
      }
    }
    scrap(own);
    free(frame.at);
    free(frame.memory);
  }
}

// One of the two programs of the backward pass.
struct Part {
  I frames, sequences, words;
  const I *bytes, *sequence, *strides, *states, *products, *word;
};

template <class N> static inline void add_to(char* total, const char* part, I count) {
  for (I j = 0; j < count; ++j) ((N*)total)[j] += ((const N*)part)[j];
}

// tensors: sequences of the forward program and of the backward one, first states, checkpoints, gradients of the last
// states that are carried (which become those of the first ones), totals of the gradients of parameters (zero at first),
// parameters, matrices. sizes: T, rows, width, every, threads, how many states, products, carried, totals, parameters;
// of either program how many frames, sequences and words; then of either program bytes of each frame, its sequence or
// -1, strides of the sequences, the frames of states before a step and of products, the words; the frames of states
// after a step, the frames of carried gradients before (the later step's) and after (-1 where zero), the frames of
// totals, (inner, size) of each parameter.
template <class F> static void network_backward(const Run* functions, char* const* t, const I* s) {
  const I T = s[0], rows = s[1], width = s[2], every = s[3], threads = s[4];
  const I states = s[5], products = s[6], carried = s[7], totals = s[8], parameters = s[9];
  Part part[2];
  const I* next = s + 16;
  for (int p = 0; p < 2; ++p) {
    Part& one = part[p];
    one.frames = s[10 + 3 * p];
    one.sequences = s[11 + 3 * p];
    one.words = s[12 + 3 * p];
    one.bytes = next;
    one.sequence = one.bytes + one.frames;
    one.strides = one.sequence + one.frames;
    one.states = one.strides + one.sequences;
    one.products = one.states + states;
    one.word = one.products + products;
    next = one.word + one.words;
  }
  const Part &ahead = part[0], &back = part[1];
  const I *after = next, *arriving = after + states, *leaving = arriving + carried, *summed = leaving + carried;
  const I* layout = summed + totals;
  char *const *start = t + ahead.sequences + back.sequences, *const *checkpoint = start + states;
  char *const *carry = checkpoint + states, *const *total = carry + carried;
  char *const *parameter = total + totals, *const *matrix = parameter + parameters;
  const I all = rows * width, together = rows_together(rows), stretch = WIDEST_NUMBER * together * width;
  const I most_frames = most(ahead.frames, back.frames);
#pragma omp parallel num_threads(threads)
  {
    // Gradients are seldom zero.
    const Machine<F> own = machine<F>(functions, parameter, layout, parameters, matrix, width, together, most_frames, 0);
    const Frames forward = {allocate<char*>(ahead.frames), allocate<char>(ahead.frames * stretch), ahead.bytes,
                            ahead.sequence, t, ahead.strides, ahead.frames};
    const Frames reverse = {allocate<char*>(back.frames), allocate<char>(back.frames * stretch), back.bytes,
                            back.sequence, t + ahead.sequences, back.strides, back.frames};
    char* const history = allocate<char>((every + 1) * (states + products) * stretch);
#pragma omp for schedule(dynamic)
    for (I row = 0; row < rows; row += together) {
      const I count = least(together, rows - row), first = row * width, elements = count * width;
      Frames(forward).own(stretch);
      Frames(reverse).own(stretch);
      for (I k = 0; k < carried; ++k) {
        const I size = back.bytes[arriving[k]];
        bring(reverse.at[arriving[k]], carry[k] + first * size, elements * size);
      }
      for (I begin = (T - 1) / every * every; begin >= 0; begin -= every) {
        const I end = least(begin + every, T);
        for (I k = 0; k < states; ++k) {
          const I size = ahead.bytes[ahead.states[k]];
          const char* const from = begin ? checkpoint[k] + (begin / every - 1) * all * size : start[k];
          bring(history + k * stretch, from + first * size, elements * size);
        }
        for (I now = begin; now < end; ++now) {
          char* const kept = history + (now - begin) * (states + products) * stretch;
          for (I k = 0; k < states; ++k) {
            forward.at[ahead.states[k]] = kept + k * stretch;
            forward.at[after[k]] = kept + (states + products + k) * stretch;
          }
          for (I k = 0; k < products; ++k) forward.at[ahead.products[k]] = kept + (states + k) * stretch;
          Frames(forward).place(now, first);
          own.run(ahead.word, ahead.word + ahead.words, forward.at, count, first);
        }
        for (I now = end - 1; now >= begin; --now) {
          char* const kept = history + (now - begin) * (states + products) * stretch;
          for (I k = 0; k < states; ++k) reverse.at[back.states[k]] = kept + k * stretch;
          for (I k = 0; k < products; ++k) reverse.at[back.products[k]] = kept + (states + k) * stretch;
          Frames(reverse).place(now, first);
          own.run(back.word, back.word + back.words, reverse.at, count, first);
          for (I k = 0; k < totals; ++k) {
            const I size = back.bytes[summed[k]];
            char* const to = total[k] + first * size;
            size == sizeof(float) ? add_to<float>(to, reverse.at[summed[k]], elements)
                                  : add_to<double>(to, reverse.at[summed[k]], elements);
          }
          for (I k = 0; k < carried; ++k) {
            char* const before = reverse.at[arriving[k]];
            if (leaving[k] < 0) {
              __builtin_memset(before, 0, (__SIZE_TYPE__)(elements * back.bytes[arriving[k]]));
            } else {
              reverse.at[arriving[k]] = reverse.at[leaving[k]];
              reverse.at[leaving[k]] = before;
            }
          }
        }
      }
      for (I k = 0; k < carried; ++k) {
        const I size = back.bytes[arriving[k]];
        bring(carry[k] + first * size, reverse.at[arriving[k]], elements * size);
      }
    }
    scrap(own);
    free(forward.at);
    free(forward.memory);
    free(reverse.at);
    free(reverse.memory);
    free(history);
  }
}

extern "C" void network_forward(const Run* functions, char* const* t, const I* s, double most_active) {
  network_forward<NUMBER>(functions, t, s, most_active);
}
extern "C" void network_backward(const Run* functions, char* const* t, const I* s) {
  network_backward<NUMBER>(functions, t, s);
}
