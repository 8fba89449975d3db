// Products of a matrix with rows that are mostly zero: only the columns of the active entries are read. After gather.h.
// y [rows, outputs] = start + x [rows, inputs] times columns [inputs, outputs]; false where x is too active to gain.
// The start of a row lies start_stride behind that of the row before; null for zeros.
template <class F> static bool product(
    const F* x, const F* columns, const F* start, F* y, I rows, I inputs, I outputs, I start_stride,
    double most_active, I threads) {
  if (!sparse(x, rows, inputs, most_active)) return false;
  large_pages(y, rows * outputs * (I)sizeof(F));
  const I together = inputs > 8192 ? 1 : 64;  // rows that share a tile of columns while it is in the cache
#pragma omp parallel num_threads(threads) if (rows * inputs > 32768)
  {
    int32_t* const place = allocate<int32_t>(together * inputs);
    F* const value = allocate<F>(together * inputs);
    I first[65];
#pragma omp for schedule(dynamic)
    for (I begin = 0; begin < rows; begin += together) {
      const I count = least(together, rows - begin);
      list_active(x + begin * inputs, count, inputs, first, place, value);
      gather_rows(first, place, value, count, columns, outputs, start ? start + begin * start_stride : start,
                  start_stride, y + begin * outputs);
    }
    free(place);
    free(value);
  }
  return true;
}

// columns [inputs, outputs] = transpose of x [rows, inputs] times g [rows, outputs]; false where x is too active.
template <class F> static bool outer_product(
    const F* x, const F* g, F* columns, I rows, I inputs, I outputs, double most_active, I threads) {
  if (!sparse(x, rows, inputs, most_active)) return false;
  enum { TILE = Vector<F>::TILE, CHUNK = 256 };
  // Each chunk of rows is sorted by input; the sums run in this order whatever the number of threads.
  const I wide = inputs + 1;
  I* const first = allocate<I>(threads * wide);
  int32_t** const place = allocate<int32_t*>(threads);
  F** const value = allocate<F*>(threads);
#pragma omp parallel num_threads(threads)
  {
    int32_t* const found = allocate<int32_t>(inputs);
    F* const found_value = allocate<F>(inputs);
    I* const next = allocate<I>(wide);
#pragma omp for
    for (I c = 0; c < threads; ++c) {
      place[c] = allocate<int32_t>(CHUNK * inputs);
      value[c] = allocate<F>(CHUNK * inputs);
    }
    for (I group = 0; group < rows; group += CHUNK * threads) {
#pragma omp for schedule(static, 1)
      for (I c = 0; c < threads; ++c) {
        const I begin = least(group + c * CHUNK, rows), count = least(CHUNK, rows - begin);
        I* const own = first + c * wide;
        for (I j = 0; j <= inputs; ++j) own[j] = 0;
        for (I r = 0; r < count; ++r) {
          const F* row = x + (begin + r) * inputs;
          for (I j = 0; j < inputs; ++j) own[j + 1] += row[j] != 0;
        }
        for (I j = 0; j < inputs; ++j) own[j + 1] += own[j];
        for (I j = 0; j < inputs; ++j) next[j] = own[j];
        for (I r = 0; r < count; ++r) {
          const I n = active(x + (begin + r) * inputs, inputs, found, found_value);
          for (I e = 0; e < n; ++e) {
            const I at = next[found[e]]++;
            place[c][at] = (int32_t)r;
            value[c][at] = found_value[e];
          }
        }
      }
#pragma omp for schedule(dynamic)
      for (I o = 0; o < outputs; o += TILE) {
        const I width = least(TILE, outputs - o);
        for (I c = 0; c < threads; ++c) {
          const I begin = group + c * CHUNK;
          if (begin >= rows) break;
          const I* const own = first + c * wide;
          for (I j = 0; j < inputs; ++j) {
            F* const to = columns + j * outputs + o;
            const bool fresh = begin == 0;
            if (!fresh && own[j] == own[j + 1]) continue;
            const F* from = fresh ? (const F*)0 : to;
            const int32_t* p = place[c] + own[j];
            const F* v = value[c] + own[j];
            const I n = own[j + 1] - own[j];
            const F* base = g + begin * outputs + o;
            if (width == TILE) gather<F, WIDEST>(p, v, n, base, outputs, from, to);
            else gather_tile(p, v, n, base, outputs, from, to, width);
          }
        }
      }
    }
#pragma omp for
    for (I c = 0; c < threads; ++c) {
      free(place[c]);
      free(value[c]);
    }
    free(found);
    free(found_value);
    free(next);
  }
  free(first);
  free(place);
  free(value);
  return true;
}

// sizes: rows, inputs, outputs, start_stride, threads. tensors of the product: x, columns, start (or null), y; of the
// outer product: x, gradient, columns. Both answer whether they ran.
extern "C" int product(void* const* t, const I* s, double most_active) {
  return product((const NUMBER*)t[0], (const NUMBER*)t[1], (const NUMBER*)t[2], (NUMBER*)t[3], s[0], s[1], s[2], s[3], most_active, s[4]);
}
extern "C" int outer_product(void* const* t, const I* s, double most_active) {
  return outer_product((const NUMBER*)t[0], (const NUMBER*)t[1], (NUMBER*)t[2], s[0], s[1], s[2], most_active, s[4]);
}
