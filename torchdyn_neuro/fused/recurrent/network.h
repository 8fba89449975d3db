// Steps with matrix products inside: a thread carries some rows of the batch through all steps of a program, whose
// segments act on each element by itself. After dense.h, synapses.h, lines.h.
typedef void (*Run)(void* const* tensors, const I* sizes);
// Sizes of a loop before its strides; bytes; kinds of words.
enum { STEP_SIZES = 6, WIDEST_NUMBER = 8, SEGMENT = 0, PRODUCT = 1, SUM = 2, TAPS = 4, WINDOW = 5, DOT = 6 };

// A program. sizes: how many frames, sequences, sequences that are read, words; then the bytes of a row of each frame,
// the sequence of each frame or -1, the strides of the sequences in bytes, the words. A segment is a word SEGMENT, its
// function, the number of its width, and how many and which frames it reads, parameters it loads, frames that it reads as
// they repeat (the frame, the axis, the numbers of the widths of the axes), frames it writes; a product is PRODUCT, the
// matrix, the frames, and the numbers of their widths; what goes along an axis of synapses is SUM or the word after it, the
// axis, the frames, and the numbers of the widths of the axes; DOT likewise, of two frames; a line is read by TAPS or
// WINDOW, the place of its lags among the matrices, whether it is added to, the frames of now and of what is read, and
// their widths.
struct Program {
  I frames, sequences, given, words;
  const I *bytes, *sequence, *strides, *word, *end;
};
static inline Program program(const I* s) {
  Program p = {s[0], s[1], s[2], s[3], s + 4, 0, 0, 0, 0};
  p.sequence = p.bytes + p.frames;
  p.strides = p.sequence + p.frames;
  p.word = p.strides + p.sequences;
  p.end = p.word + p.words;
  return p;
}

// Where each frame of the rows at work lies at a step: in memory of its own, or in a sequence.
struct Frames {
  Program of;
  char** at;
  char* memory;
  char* const* sequences;
  I stretch;
  void own() const {
    for (I k = 0; k < of.frames; ++k) at[k] = memory + k * stretch;
  }
  void place(I t, I row) const {
    for (I k = 0; k < of.frames; ++k) {
      const I number = of.sequence[k];
      if (number >= 0) at[k] = sequences[number] + t * of.strides[number] + row * of.bytes[k];
    }
  }
};
static inline Frames frames(const Program& of, char* const* sequences, I stretch) {
  return {of, allocate<char*>(of.frames), allocate<char>(of.frames * stretch), sequences, stretch};
}
static inline void scrap(const Frames& frames) {
  free(frames.at);
  free(frames.memory);
}
static inline void fresh(const Program& of, char* const* sequences, I steps) {
  for (I k = of.given; k < of.sequences; ++k) large_pages(sequences[k], steps * of.strides[k]);
}

// What a thread needs to run a program.
template <class F> struct Machine {
  const Run* functions;
  char* const* parameters;
  const I *layout, *moves;
  char* const* matrices;
  const I* widths;
  double most_active;
  int32_t* places;
  F* values;
  void** tensors;
  I* sizes;

  void segment(const Program& program, const I*& word, char* const* at, I t, I rows, I row) const {
    const Run function = functions[*word++];
    const I width = widths[*word++];
    const I *const reads = word, *const loads = reads + 1 + *reads, *const spreads = loads + 1 + *loads;
    const I* const writes = spreads + 1 + 4 * *spreads;
    word = writes + 1 + *writes;
    // What repeats within a row is read row by row.
    const I turns = *spreads ? rows : 1, count = *spreads ? 1 : rows;
    for (I turn = 0; turn < turns; ++turn) {
      const I given[STEP_SIZES] = {1, count * width, 1, 1, 0, (row + turn) * width};
      for (int k = 0; k < STEP_SIZES; ++k) sizes[k] = given[k];
      I tensor = 0, size = STEP_SIZES;
      for (I n = 1; n <= *reads; ++n) {
        tensors[tensor++] = at[reads[n]] + turn * program.bytes[reads[n]];
        sizes[size++] = 0;
      }
      for (I n = 1; n <= *loads; ++n) {
        tensors[tensor++] = parameters[loads[n]] + t * moves[loads[n]];
        sizes[size++] = layout[2 * loads[n]];
        sizes[size++] = layout[2 * loads[n] + 1];
      }
      for (I n = 0; n < *spreads; ++n) {
        const I* const each = spreads + 1 + 4 * n;
        tensors[tensor++] = at[each[0]] + turn * program.bytes[each[0]];
        sizes[size++] = each[1] == -1 ? widths[each[3]] : 1;
        sizes[size++] = widths[each[each[1] == -1 ? 2 : 3]];
      }
      for (I n = 1; n <= *writes; ++n) tensors[tensor++] = at[writes[n]] + turn * program.bytes[writes[n]];
      function(tensors, sizes);
    }
  }

  void run(const Program& program, char* const* at, I t, I rows, I row) const {
    const I* word = program.word;
    while (word < program.end) {
      const I kind = *word++;
      if (kind == SEGMENT) {
        segment(program, word, at, t, rows, row);
      } else if (kind == DOT) {
        dot_along(word[0], (const F*)at[word[1]], (const F*)at[word[2]], (F*)at[word[3]], rows, widths[word[4]],
                  widths[word[5]]);
        word += 6;
      } else if (kind >= TAPS) {
        char* const now = at[word[2]];
        F* const frame = (F*)at[word[3]];
        const I stride = program.strides[program.sequence[word[2]]], width = widths[word[4]];
        if (kind == TAPS)
          line_taps(word[1], now, stride, frame, (const I*)matrices[word[0]], (const F*)matrices[word[0] + 1], row, rows, width);
        else
          line_window(word[1], now, stride, frame, widths[word[5]] / width, rows, width);
        word += 6;
      } else if (kind >= SUM) {
        (kind == SUM ? sum_along<F> : repeat_along<F>)(word[0], (const F*)at[word[1]], (F*)at[word[2]], rows,
                                                      widths[word[3]], widths[word[4]]);
        word += 5;
      } else {
        const F* const matrix = (const F*)matrices[word[0]];
        few_or_dense((const F*)at[word[1]], rows, widths[word[3]], matrix, widths[word[4]], (const F*)0,
                     (F*)at[word[2]], most_active, places, values);
        word += 5;
      }
    }
  }
};

template <class F> static inline Machine<F> machine(
    const Run* functions, char* const* parameters, const I* layout, const I* moves, I count, char* const* matrices,
    const I* widths, I entries, I frames, double most_active) {
  return {functions, parameters, layout, moves, matrices, widths, most_active, allocate<int32_t>(entries),
          allocate<F>(entries), allocate<void*>(frames + count), allocate<I>(STEP_SIZES + frames + 2 * count)};
}
template <class F> static inline void scrap(const Machine<F>& machine) {
  free(machine.places);
  free(machine.values);
  free(machine.tensors);
  free(machine.sizes);
}

// tensors: sequences, first states, last states, checkpoints (null where not kept), parameters, matrices. sizes: those
// of a call, the frames of states before and after a step, the program.
template <class F> static void network_forward(const Run* functions, char* const* t, const I* s, double most_active) {
  const Call given = call(s);
  const I T = given.T, rows = given.rows, every = given.every, states = given.states, together = given.together;
  const I *before = given.rest, *after = before + states;
  const Program steps = program(after + states);
  char *const *start = t + steps.sequences, *const *last = start + states, *const *checkpoint = last + states;
  char *const *parameter = checkpoint + states, *const *matrix = parameter + given.parameters;
  fresh(steps, t, T);
#pragma omp parallel num_threads(given.threads)
  {
    const Machine<F> own = machine<F>(functions, parameter, given.layout, given.moves, given.parameters, matrix,
                                      given.widths, together * given.widest, steps.frames, most_active);
    const Frames frame = frames(steps, t, WIDEST_NUMBER * together * given.widest);
#pragma omp for schedule(dynamic)
    for (I row = 0; row < rows; row += together) {
      const I count = least(together, rows - row);
      frame.own();
      for (I k = 0; k < states; ++k) {
        const I size = steps.bytes[before[k]];
        bring(frame.at[before[k]], start[k] + row * size, count * size);
      }
      for (I now = 0; now < T; ++now) {
        if (now && now % every == 0)
          for (I k = 0; k < states; ++k) {
            const I size = steps.bytes[before[k]];
            if (checkpoint[k])
              bring(checkpoint[k] + ((now / every - 1) * rows + row) * size, frame.at[before[k]], count * size);
          }
        frame.place(now, row);
        own.run(steps, frame.at, now, count, row);
        for (I k = 0; k < states; ++k) {
          char* const next = frame.at[after[k]];
          frame.at[after[k]] = frame.at[before[k]];
          frame.at[before[k]] = next;
        }
      }
      for (I k = 0; k < states; ++k) {
        const I size = steps.bytes[before[k]];
        bring(last[k] + row * size, frame.at[before[k]], count * size);
      }
    }
    scrap(own);
    scrap(frame);
  }
}

template <class N> static inline void add_to(char* total, const char* part, I bytes) {
  for (I j = 0; j < bytes / (I)sizeof(N); ++j) ((N*)total)[j] += ((const N*)part)[j];
}

// The states that are replayed before each step of a segment are kept, and the products of each step where these are
// computed again.
// tensors: sequences of the replay and of the backward program, first states, checkpoints, gradients of the last states
// that are carried (which become those of the first ones), totals of the gradients of parameters (zero at first),
// parameters, matrices. sizes: those of a call; how many products, carried, totals; the frames of states before a step
// in either program, and after one in the replay; the frames of products in either; the frames of carried gradients
// before (the later step's) and after (-1 where zero); the frames of totals, and the bytes of their numbers; the two
// programs.
template <class F> static void network_backward(const Run* functions, char* const* t, const I* s, double most_active) {
  const Call given = call(s);
  const I T = given.T, rows = given.rows, every = given.every, states = given.states, together = given.together;
  const I products = given.rest[0], carried = given.rest[1], totals = given.rest[2];
  const I *ahead_states = given.rest + 3, *back_states = ahead_states + states, *after = back_states + states;
  const I *ahead_products = after + states, *back_products = ahead_products + products;
  const I *arriving = back_products + products, *leaving = arriving + carried, *summed = leaving + carried;
  const I* const number = summed + totals;
  const Program ahead = program(number + totals), back = program(ahead.end);
  char *const *start = t + ahead.sequences + back.sequences, *const *checkpoint = start + states;
  char *const *carry = checkpoint + states, *const *total = carry + carried;
  char *const *parameter = total + totals, *const *matrix = parameter + given.parameters;
  const I stretch = WIDEST_NUMBER * together * given.widest, kept = states + products;
  fresh(back, t + ahead.sequences, T);
#pragma omp parallel num_threads(given.threads)
  {
    Machine<F> own = machine<F>(functions, parameter, given.layout, given.moves, given.parameters, matrix,
                                given.widths, together * given.widest, most(ahead.frames, back.frames), 0);
    const Frames forward = frames(ahead, t, stretch), reverse = frames(back, t + ahead.sequences, stretch);
    char* const history = allocate<char>((every + 1) * kept * stretch);
#pragma omp for schedule(dynamic)
    for (I row = 0; row < rows; row += together) {
      const I count = least(together, rows - row);
      forward.own();
      reverse.own();
      for (I k = 0; k < carried; ++k) {
        const I size = back.bytes[arriving[k]];
        bring(reverse.at[arriving[k]], carry[k] + row * size, count * size);
      }
      for (I begin = (T - 1) / every * every; begin >= 0; begin -= every) {
        const I end = least(begin + every, T);
        for (I k = 0; k < states; ++k) {
          const I size = ahead.bytes[ahead_states[k]];
          const char* const from = begin ? checkpoint[k] + (begin / every - 1) * rows * size : start[k];
          bring(history + k * stretch, from + row * size, count * size);
        }
        own.most_active = most_active;
        // Of the last step only the products are wanted.
        for (I now = begin; now < (products ? end : end - 1); ++now) {
          char* const at = history + (now - begin) * kept * stretch;
          for (I k = 0; k < states; ++k) {
            forward.at[ahead_states[k]] = at + k * stretch;
            forward.at[after[k]] = at + (kept + k) * stretch;
          }
          for (I k = 0; k < products; ++k) forward.at[ahead_products[k]] = at + (states + k) * stretch;
          forward.place(now, row);
          own.run(ahead, forward.at, now, count, row);
        }
        own.most_active = 0;  // gradients are seldom zero
        for (I now = end - 1; now >= begin; --now) {
          char* const at = history + (now - begin) * kept * stretch;
          for (I k = 0; k < states; ++k) reverse.at[back_states[k]] = at + k * stretch;
          for (I k = 0; k < products; ++k) reverse.at[back_products[k]] = at + (states + k) * stretch;
          reverse.place(now, row);
          own.run(back, reverse.at, now, count, row);
          for (I k = 0; k < totals; ++k) {
            const I size = back.bytes[summed[k]];
            char* const to = total[k] + row * size;
            number[k] == sizeof(float) ? add_to<float>(to, reverse.at[summed[k]], count * size)
                                       : add_to<double>(to, reverse.at[summed[k]], count * size);
          }
          for (I k = 0; k < carried; ++k) {
            char* const before = reverse.at[arriving[k]];
            if (leaving[k] < 0) {
              __builtin_memset(before, 0, (__SIZE_TYPE__)(count * back.bytes[arriving[k]]));
            } else {
              reverse.at[arriving[k]] = reverse.at[leaving[k]];
              reverse.at[leaving[k]] = before;
            }
          }
        }
      }
      for (I k = 0; k < carried; ++k) {
        const I size = back.bytes[arriving[k]];
        bring(carry[k] + row * size, reverse.at[arriving[k]], count * size);
      }
    }
    scrap(own);
    scrap(forward);
    scrap(reverse);
    free(history);
  }
}

extern "C" void network_forward(const Run* functions, char* const* t, const I* s, double most_active) {
  network_forward<NUMBER>(functions, t, s, most_active);
}
extern "C" void network_backward(const Run* functions, char* const* t, const I* s, double most_active) {
  network_backward<NUMBER>(functions, t, s, most_active);
}
