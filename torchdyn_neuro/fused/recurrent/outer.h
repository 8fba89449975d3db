// Products of two frames over the batch, for some columns of the second at a time: to [p, o] = sum over rows of
// pre[row, p] * post[row, o]. Whichever side spikes is made use of. After dense.h.
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#define LOOKS_UP
#endif
enum { DENSE, FEW, SPIKES, TABLES = 4 };

template <class F> struct Whole;
template <> struct Whole<float> {
  typedef int32_t type;
  enum { BITS = 4 };
};
template <> struct Whole<double> {
  typedef int64_t type;
  enum { BITS = 3 };
};

// One product, as a thread sees it: how it is computed, and what that needs.
template <class F> struct Outer {
  typedef typename Whole<F>::type Index;
  typedef typename Vector<F>::type V;
  typedef Index W __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(Index)), may_alias));
  enum { LANES = Vector<F>::LANES, BITS = Whole<F>::BITS };
  const F *post, *pre;
  I rows, outputs, inputs, groups, padded;
  int how;
  I* first;        // of the columns of this thread, where their active rows begin
  int32_t* place;  // the active rows
  F* value;
  Index* subset;   // for each group of rows and each output, which of them spike there
  F* size;         // of the spikes of each row, in the subsets that they are in
  F* column;       // of some columns, all rows

  void reserve(I most_rows, I most_outputs, I most_inputs) {
    padded = (most_outputs + LANES - 1) / LANES * LANES;
    first = allocate<I>(most_inputs + 2);
    place = allocate<int32_t>(most_rows * most_inputs);
    value = allocate<F>(most_rows * most_inputs);
    subset = allocate<Index>((most_rows / BITS + 1) * padded);
    size = allocate<F>((most_rows + BITS) * LANES);
    column = allocate<F>(most_rows * most_inputs);
  }
  void scrap() {
    free(first), free(place), free(value), free(subset), free(size), free(column);
  }

  // Whether all numbers are finite.
  static bool finite(const F* x, I count) {
    V sum = {};
    I k = 0;
    for (; k + LANES <= count; k += LANES) sum += (*(const V*)(x + k) - *(const V*)(x + k)) * 0;
    F found = 0;
    for (; k < count; ++k) found += (x[k] - x[k]) * 0;
    for (int lane = 0; lane < LANES; ++lane) found += sum[lane];
    return found == 0;  // NaN if not
  }

  // Looks at both sides; columns from begin to end are those of this thread.
  void begin(const F* post_, const F* pre_, I rows_, I outputs_, I inputs_, I from, I to, double most_active) {
    post = post_, pre = pre_, rows = rows_, outputs = outputs_, inputs = inputs_, how = DENSE;
    if (most_active <= 0 || from >= to) return;
    I active = 0;
    for (I r = 0; r < rows; ++r) active += count_active(pre + r * inputs + from, to - from);
    if (active <= most_active * (rows * (to - from))) {
      if (finite(post, rows * outputs)) list(from, to);
      return;
    }
#ifdef LOOKS_UP
    if (rows >= BITS && finite(pre, rows * inputs)) look();
#endif
  }

  // The active rows of each column.
  void list(I from, I to) {
    how = FEW;
    I* const next = first + 1;
    for (I p = 0; p < to - from + 2; ++p) first[p] = 0;
    for (I r = 0; r < rows; ++r) scan(pre + r * inputs + from, to - from, [&](I p, F) { ++next[p + 1]; });
    for (I p = 0; p < to - from; ++p) next[p + 1] += next[p];
    for (I r = 0; r < rows; ++r)
      scan(pre + r * inputs + from, to - from, [&](I p, F v) {
        const I at = next[p]++;
        place[at] = (int32_t)r;
        value[at] = v;
      });
  }

#ifdef LOOKS_UP
  // Whether each row has one value beside zero, as spikes do: then a sum over a group of rows is one of few.
  void look() {
    for (I r = 0; r < rows; ++r) {
      const F* const row = post + r * outputs;
      F one = 0;
      for (I o = 0; o < outputs && one == 0; ++o) one = row[o];
      Index others = 0;
      for (I o = 0; o < outputs; ++o) others |= !(row[o] == one) & !(row[o] == 0);
      if (others || one - one != 0) return;
      for (int lane = 0; lane < LANES; ++lane) size[r * LANES + lane] = lane >> r % BITS & 1 ? one : 0;
    }
    for (I r = rows * LANES; r < (rows + BITS) * LANES; ++r) size[r] = 0;
    how = SPIKES;
    groups = (rows + BITS - 1) / BITS;
    for (I g = 0; g < groups; ++g) {
      Index* const to = subset + g * padded;
      for (I o = 0; o < padded; ++o) to[o] = 0;
      for (I k = 0; k < BITS && g * BITS + k < rows; ++k) {
        const F* const row = post + (g * BITS + k) * outputs;
        for (I o = 0; o < outputs; ++o) to[o] |= (Index)(row[o] != 0) << k;
      }
    }
  }

  // The sum of each subset of the spikes of a group, for column p.
  V table(I g, I p) const {
    V sum = {};
    for (int k = 0; k < BITS; ++k) {
      const I r = g * BITS + k;
      sum += *(const V*)(size + r * LANES) * pre[least(r, rows - 1) * inputs + p];
    }
    return sum;
  }
  // C columns from p on, of K groups from g on.
  template <int K, int C> __attribute__((always_inline)) void looked_up(I g, I p, F* to) const {
    V tables[C][K];
    const Index* at[K];
    for (int k = 0; k < K; ++k) at[k] = subset + (g + k) * padded;
    for (int c = 0; c < C; ++c)
      for (int k = 0; k < K; ++k) tables[c][k] = table(g + k, p + c);
    I o = 0;
    for (; o + LANES <= outputs; o += LANES) {
      V sum[C];
      for (int k = 0; k < K; ++k) {
        const W which = *(const W*)(at[k] + o);
        for (int c = 0; c < C; ++c) {
          const V part = __builtin_shuffle(tables[c][k], which);
          sum[c] = k ? sum[c] + part : part;
        }
      }
      if (g)
        for (int c = 0; c < C; ++c) sum[c] += *(const V*)(to + c * outputs + o);
      for (int c = 0; c < C; ++c) *(V*)(to + c * outputs + o) = sum[c];
    }
    for (int c = 0; c < C && o < outputs; ++c) {
      V sum = {};
      for (int k = 0; k < K; ++k) sum += __builtin_shuffle(tables[c][k], *(const W*)(at[k] + o));
      for (int lane = 0; o + lane < outputs; ++lane) {
        F* const one = to + c * outputs + o + lane;
        *one = g ? *one + sum[lane] : sum[lane];
      }
    }
  }
  template <int K> void looked_up(I g, I p, I count, F* to) const {
    I k = 0;
    for (; k + 4 <= count; k += 4) looked_up<K, 4>(g, p + k, to + k * outputs);
    for (; k < count; ++k) looked_up<K, 1>(g, p + k, to + k * outputs);
  }
#endif

  // The sum of N active rows.
  template <int N> void sum_of_rows(const int32_t* place, const F* value, F* to) const {
    const F* row[N + 1];
    for (int n = 0; n < N; ++n) row[n] = post + place[n] * outputs;
    I o = 0;
    for (; o + LANES <= outputs; o += LANES) {
      V sum = {};
      for (int n = 0; n < N; ++n) sum += value[n] * *(const V*)(row[n] + o);
      *(V*)(to + o) = sum;
    }
    for (; o < outputs; ++o) {
      F sum = 0;
      for (int n = 0; n < N; ++n) sum += value[n] * row[n][o];
      to[o] = sum;
    }
  }

  // Columns from p on, to [count, outputs]; begun with ``from``.
  void columns(I from, I p, I count, F* to) const {
    if (how == FEW) {
      for (I k = 0; k < count; ++k, to += outputs) {
        const I* const list = first + (p - from) + k;
        const int32_t* const at = place + list[0];
        const F* const times = value + list[0];
        switch (list[1] - list[0]) {
          case 0: sum_of_rows<0>(at, times, to); break;
          case 1: sum_of_rows<1>(at, times, to); break;
          case 2: sum_of_rows<2>(at, times, to); break;
          case 3: sum_of_rows<3>(at, times, to); break;
          case 4: sum_of_rows<4>(at, times, to); break;
          default: gather_rows(list, place, value, 1, post, outputs, (const F*)0, 0, to);
        }
      }
      return;
    }
#ifdef LOOKS_UP
    if (how == SPIKES) {
      for (I g = 0; g < groups; g += TABLES) switch (least(TABLES, groups - g)) {
        case 4: looked_up<4>(g, p, count, to); break;
        case 3: looked_up<3>(g, p, count, to); break;
        case 2: looked_up<2>(g, p, count, to); break;
        default: looked_up<1>(g, p, count, to);
      }
      return;
    }
#endif
    for (I r = 0; r < rows; ++r)
      for (I k = 0; k < count; ++k) column[k * rows + r] = pre[r * inputs + p + k];
    dense(column, count, rows, post, outputs, (const F*)0, to);
  }
};
