// Steps in which weights that the batch shares change: all rows go through a step together. Such weights lie as [pre,
// post] here, so that an input that spikes reads and writes whole lines. After network.h, outer.h.
enum { MATMUL = 7, TILES = 8, ROWS = 9, TILE_BYTES = 24576, ALIGNED = 64 };

// Memory that frames of whole lines of a cache begin in.
static inline char* lined(void* memory) {
  return (char*)(((uintptr_t)memory + ALIGNED - 1) & ~(uintptr_t)(ALIGNED - 1));
}
static inline I whole_lines(I bytes) { return (bytes + ALIGNED - 1) & ~(I)(ALIGNED - 1); }

// to [post, pre] from [pre, post].
template <class F> static inline void turn(const F* from, F* to, I pre, I post) {
  enum { SQUARE = 16 };
  for (I p = 0; p < pre; p += SQUARE)
    for (I o = 0; o < post; o += SQUARE)
      for (I q = p; q < least(p + SQUARE, pre); ++q)
        for (I r = o; r < least(o + SQUARE, post); ++r) to[r * pre + q] = from[q * post + r];
}

// Zero times what is not finite is not zero: then nothing is left out.
// to [rows, post] = x [rows, pre] through weights, or, turned, to [rows, pre] = x [rows, post] times them.
template <class F> static inline void through(
    const Machine<F>& own, I turned, const F* x, const F* weight, F* to, I rows, I post, I pre, I* first,
    bool finite) {
  if (turned) {
    for (I p = 0; p < pre; ++p)
      for (I r = 0; r < rows; ++r) {
        const F *const line = weight + p * post, *const given = x + r * post;
        to[r * pre + p] = sum_of<F>(post, [=](I o) { return line[o] * given[o]; });
      }
    return;
  }
  const I count = own.most_active > 0 && finite ? count_active(x, rows * pre) : rows * pre;
  if (count >= own.most_active * (rows * pre)) return dense(x, rows, pre, weight, post, (const F*)0, to);
  list_active(x, rows, pre, first, own.places, own.values);
  gather_rows(first, own.places, own.values, rows, weight, post, (const F*)0, 0, to);
}

// What a thread needs for the words of such a program.
template <class F> struct Shared {
  const Machine<F>& own;
  const Program& of;
  const I* alone;  // of each frame, whether it has no rows
  I rows, begin, end, thread, threads;
  char **at, **row_at;
  I* first;
  Outer<F>* outers;
  char** made;
  char* scratch;
  I* finite;  // whether all weights were, so far

  void look_at(const char* weights, I count) const {
    if (!Outer<F>::finite((const F*)weights, count)) __atomic_store_n(finite, 0, __ATOMIC_RELAXED);
  }

  // A run of words that act on each row by itself.
  void on_rows(const I* word, I count, I t) const {
    for (I row = begin; row < end; row += DENSE_ROWS) {
      const I together = least(DENSE_ROWS, end - row);
      for (I k = 0; k < of.frames; ++k) row_at[k] = at[k] + (alone[k] ? 0 : row * of.bytes[k]);
      Program part = of;
      part.word = word, part.end = word + count;
      own.run(part, row_at, t, together, row);
    }
  }

  void products(const I* word) const {
    const I post = own.widths[word[4]], pre = own.widths[word[5]];
    through(own, word[0], (const F*)at[word[1]] + begin * (word[0] ? post : pre), (const F*)at[word[2]],
            (F*)at[word[3]] + begin * (word[0] ? pre : post), end - begin, post, pre, first,
            __atomic_load_n(finite, __ATOMIC_RELAXED));
  }

  // Products over the batch, and a segment that acts on each synapse, some columns at a time.
  void tiles(const I* word, I t, I words) const {
    const I post = own.widths[word[0]], pre = own.widths[word[1]], count = word[2];
    const I *const product = word + 3, *const segment = product + 4 * count;
    const I whole = post * pre, used = segment[0] ? segment[0] : 1, length = words - (I)(segment - word);
    const I together = most(DENSE_ROWS, TILE_BYTES / (used * post * (I)sizeof(F)));
    const I chunks = (pre + together - 1) / together;
    const I from = least(pre, chunks * thread / threads * together);
    const I to = least(pre, chunks * (thread + 1) / threads * together);
    for (I n = 0; n < count; ++n)
      outers[n].begin((const F*)at[product[4 * n]], (const F*)at[product[4 * n + 1]], rows, post, pre, from, to,
                      own.most_active);
    for (I p = from; p < to; p += together) {
      const I columns = least(together, to - p), size = columns * post, start = p * post;
      char* room = scratch;
      for (I n = 0; n < count; ++n) {
        made[n] = product[4 * n + 3] ? room : at[product[4 * n + 2]] + start * (I)sizeof(F);
        if (product[4 * n + 3]) room += whole_lines(size * (I)sizeof(F));
        outers[n].columns(from, p, columns, (F*)made[n]);
        if (!product[4 * n + 3]) look_at(made[n], size);
      }
      if (!segment[0]) continue;
      const I* word = segment + 2;
      const Run function = own.functions[*word];
      word += 2;
      const I given[STEP_SIZES] = {1, size, 1, 1, 0, start};
      for (int k = 0; k < STEP_SIZES; ++k) own.sizes[k] = given[k];
      I tensor = 0, sized = STEP_SIZES;
      for (I k = *word++; k > 0; --k, ++word) {
        char* here = at[*word] + start * (of.bytes[*word] / whole);
        for (I n = 0; n < count; ++n)
          if (product[4 * n + 2] == *word) here = made[n];
        own.tensors[tensor++] = here;
        own.sizes[sized++] = 0;
      }
      for (I k = *word++; k > 0; --k, ++word) {
        own.tensors[tensor++] = own.parameters[*word] + t * own.moves[*word];
        own.sizes[sized++] = own.layout[2 * *word];
        own.sizes[sized++] = own.layout[2 * *word + 1];
      }
      word += 2;  // nothing repeats; how many are written
      const I written = tensor;
      for (; word < segment + length; ++word)
        own.tensors[tensor++] = at[*word] + start * (of.bytes[*word] / whole);
      function(own.tensors, own.sizes);
      for (I k = written; k < tensor; ++k) look_at((const char*)own.tensors[k], size);
    }
  }

  void run(I t) const {
    for (const I* word = of.word; word < of.end;) {
      const I kind = word[0], length = word[1];
      word += 2;
      if (kind == ROWS) on_rows(word, length, t);
      if (kind == MATMUL) products(word);
      if (kind == TILES) {
#pragma omp barrier
        tiles(word, t, length);
#pragma omp barrier
      }
      word += length;
    }
  }
};

// As network_forward. sizes: those of a call, of states the frames before and after a step, whether each frame is alone,
// of each frame that in whose memory it lies (-1 for none of its own), the most products before a segment, bytes of scratch, the greatest width of
// rows, outputs and inputs of the products, the program.
template <class F> static void shared_forward(const Run* functions, char* const* t, const I* s, double most_active) {
  const Call given = call(s);
  const I T = given.T, rows = given.rows, every = given.every, states = given.states;
  const I *before = given.rest, *after = before + states, *sized = after + states;
  const I products = sized[0], scratch = sized[1], widest = sized[2], outputs = sized[3], inputs = sized[4];
  const Program steps = program(sized + 5);
  const I *alone = steps.end, *lies = alone + steps.frames, *wide = lies + steps.frames;
  char *const *start = t + steps.sequences, *const *last = start + states, *const *checkpoint = last + states;
  char *const *parameter = checkpoint + states, *const *matrix = parameter + given.parameters;
  fresh(steps, t, T);
  I total = 0;
  for (I k = 0; k < steps.frames; ++k)
    if (lies[k] == k) total += whole_lines(steps.bytes[k] * (alone[k] ? 1 : rows));
  char *const memory = (char*)memory_of(total + ALIGNED), *next = lined(memory);
  large_pages(memory, total);
  char** const places = allocate<char*>(steps.frames);
  for (I k = 0; k < steps.frames; ++k) {
    if (lies[k] != k) continue;
    places[k] = next;
    next += whole_lines(steps.bytes[k] * (alone[k] ? 1 : rows));
  }
  for (I k = 0; k < steps.frames; ++k) places[k] = lies[k] < 0 ? 0 : places[lies[k]];
  for (I k = 0; k < states; ++k)
    bring(places[before[k]], start[k], steps.bytes[before[k]] * (alone[before[k]] ? 1 : rows));
  I finite = 1;
  for (I k = 0; k < states; ++k) {
    const I frame = before[k];
    if (alone[frame] && !Outer<F>::finite((const F*)places[frame], steps.bytes[frame] / (I)sizeof(F))) finite = 0;
  }
#pragma omp parallel num_threads(given.threads)
  {
    const I threads = omp_get_num_threads(), thread = omp_get_thread_num();
    const I begin = rows * thread / threads, end = rows * (thread + 1) / threads;
    const Machine<F> own = machine<F>(functions, parameter, given.layout, given.moves, given.parameters, matrix,
                                      given.widths, (end - begin + DENSE_ROWS) * widest, steps.frames, most_active);
    char **const at = allocate<char*>(steps.frames), **const row_at = allocate<char*>(steps.frames);
    char** const made = allocate<char*>(steps.frames);
    I* const first = allocate<I>(rows + 1);
    Outer<F>* const outers = allocate<Outer<F>>(products);
    for (I k = 0; k < products; ++k) outers[k].reserve(rows, outputs, inputs);
    char* const room = (char*)memory_of(scratch + ALIGNED);
    const Shared<F> words = {own, steps, alone, rows, begin, end, thread, threads, at, row_at, first, outers, made,
                             lined(room), &finite};
    for (I k = 0; k < steps.frames; ++k) at[k] = places[k];
    for (I now = 0; now < T; ++now) {
      if (now && now % every == 0)
        for (I k = 0; k < states; ++k) {
          if (!checkpoint[k]) continue;
          const I frame = before[k], size = steps.bytes[frame];
          char* const to = checkpoint[k] + (now / every - 1) * size * (alone[frame] ? 1 : rows);
          if (!alone[frame])
            bring(to + begin * size, at[frame] + begin * size, (end - begin) * size);
          else if (thread == 0)
            turn((const F*)at[frame], (F*)to, given.widths[wide[2 * k + 1]], given.widths[wide[2 * k]]);
        }
      for (I k = 0; k < steps.frames; ++k) {
        const I number = steps.sequence[k];
        if (number >= 0) at[k] = t[number] + now * steps.strides[number];
      }
      words.run(now);
      for (I k = 0; k < states; ++k) {
        char* const later = at[after[k]];
        at[after[k]] = at[before[k]];
        at[before[k]] = later;
      }
    }
#pragma omp barrier
    if (thread == 0)
      for (I k = 0; k < states; ++k)
        bring(last[k], at[before[k]], steps.bytes[before[k]] * (alone[before[k]] ? 1 : rows));
    for (I k = 0; k < products; ++k) outers[k].scrap();
    free(outers), free(first), free(at), free(row_at), free(made), free(room);
    scrap(own);
  }
  free(places), free(memory);
}

extern "C" void shared_forward(const Run* functions, char* const* t, const I* s, double most_active) {
  shared_forward<NUMBER>(functions, t, s, most_active);
}
