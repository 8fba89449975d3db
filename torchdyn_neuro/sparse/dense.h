// Products with weights that stay in the caches, for a few rows at a time. After gather.h.
#if defined(__AVX512F__)
enum { DENSE_ROWS = 8, DENSE_VECTORS = 2 };
#else
enum { DENSE_ROWS = 4, DENSE_VECTORS = 2 };
#endif

// to [R, V * LANES] = from + a [R, inner] times w [inner, V * LANES], all sums in registers; from may be null.
template <class F, int R, int V> static inline void dense_tile(
    const F* a, I inner, const F* w, I width, const F* from, F* to) {
  typedef typename Vector<F>::type W;
  enum { LANES = Vector<F>::LANES };
  W sum[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sum[r][v] = from ? *(const W*)(from + r * width + v * LANES) : W{};
  for (I k = 0; k < inner; ++k)
    for (int v = 0; v < V; ++v) {
      const W row = *(const W*)(w + k * width + v * LANES);
      for (int r = 0; r < R; ++r) sum[r][v] += a[r * inner + k] * row;
    }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) *(W*)(to + r * width + v * LANES) = sum[r][v];
}

template <class F, int R> static inline void dense_rows(
    const F* a, I inner, const F* w, I width, const F* from, F* to) {
  enum { LANES = Vector<F>::LANES, TILE = DENSE_VECTORS * LANES };
  I o = 0;
  for (; o + TILE <= width; o += TILE)
    dense_tile<F, R, DENSE_VECTORS>(a, inner, w + o, width, from ? from + o : from, to + o);
  for (; o + LANES <= width; o += LANES)
    dense_tile<F, R, 1>(a, inner, w + o, width, from ? from + o : from, to + o);
  for (; o < width; ++o)
    for (int r = 0; r < R; ++r) {
      F sum = from ? from[r * width + o] : 0;
      for (I k = 0; k < inner; ++k) sum += a[r * inner + k] * w[k * width + o];
      to[r * width + o] = sum;
    }
}

// to [rows, width] = from + a [rows, inner] times w [inner, width]. Each sum runs in the order of w's rows, as a gathered
// one does: both are the same to the last bit.
template <class F> static inline void dense(
    const F* a, I rows, I inner, const F* w, I width, const F* from, F* to) {
  I r = 0;
  for (; r + DENSE_ROWS <= rows; r += DENSE_ROWS)
    dense_rows<F, DENSE_ROWS>(a + r * inner, inner, w, width, from ? from + r * width : from, to + r * width);
  for (; r < rows; ++r)
    dense_rows<F, 1>(a + r * inner, inner, w, width, from ? from + r * width : from, to + r * width);
}

// How many entries are not zero.
template <class F> static inline I count_active(const F* a, I size) {
  int32_t count = 0;
  for (int32_t j = 0; j < (int32_t)size; ++j) count += a[j] != 0;
  return count;
}

// The same, reading what active entries of a ask for where they are few. The lists have room for all entries of a.
template <class F> static inline void few_or_dense(
    const F* a, I rows, I inner, const F* w, I width, const F* from, F* to, double most_active, int32_t* place, F* value) {
  const double most = most_active * (rows * inner);
  if (most <= 0 || count_active(a, rows * inner) > most) return dense(a, rows, inner, w, width, from, to);
  I first[DENSE_ROWS + 1];
  list_active(a, rows, inner, first, place, value);
  gather_rows(first, place, value, rows, w, width, from, width, to);
}
