// Sums of the rows of a matrix that active entries, those that are not zero, ask for. After memory.h.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=fast")  // one instruction for product and sum
#endif

#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64 };
#elif defined(__AVX__)
enum { VECTOR_BYTES = 32 };
#else
enum { VECTOR_BYTES = 16 };
#endif
enum { WIDEST = 8 };  // vectors that are summed up in registers at the same time
enum { SAMPLED_ROWS = 64, SAMPLED_ENTRIES = 4096 };

template <class F> struct Vector {
  typedef F type __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(F)), may_alias));
  enum { LANES = VECTOR_BYTES / sizeof(F), TILE = WIDEST * LANES };
};

template <class T> static inline T* allocate(I count) { return (T*)memory_of((count + 1) * (I)sizeof(T)); }
static inline I least(I a, I b) { return a < b ? a : b; }
static inline I most(I a, I b) { return a > b ? a : b; }

// Which of up to 64 entries are not zero, as bits.
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
enum { UNEQUAL = 4, AS_SET = 4 };
static inline uint64_t lanes_of(const float* row) {
  return (uint16_t)__builtin_ia32_cmpps512_mask(*(const Vector<float>::type*)row, Vector<float>::type{}, UNEQUAL, -1, AS_SET);
}
static inline uint64_t lanes_of(const double* row) {
  return (uint8_t)__builtin_ia32_cmppd512_mask(*(const Vector<double>::type*)row, Vector<double>::type{}, UNEQUAL, -1, AS_SET);
}
template <class F> static inline uint64_t active_bits(const F* row, I count) {
  enum { LANES = Vector<F>::LANES };
  uint64_t bits = 0;
  I k = 0;
  for (; k + LANES <= count; k += LANES) bits |= lanes_of(row + k) << k;
  for (; k < count; ++k) bits |= (uint64_t)(row[k] != 0) << k;
  return bits;
}
#else
template <class F> static inline uint64_t active_bits(const F* row, I count) {
  uint64_t bits = 0;
  for (I k = 0; k < count; ++k) bits |= (uint64_t)(row[k] != 0) << k;
  return bits;
}
#endif
// Calls entry(place, value) for each entry of a row that is not zero, in order.
template <class F, class E> static inline void scan(const F* row, I size, E entry) {
  for (I j = 0; j < size; j += 64)
    for (uint64_t bits = active_bits(row + j, least(64, size - j)); bits; bits &= bits - 1) {
      const I k = j + __builtin_ctzll(bits);
      entry(k, row[k]);
    }
}

// The entries of a row that are not zero: their places and values. Both lists have room for one more than the row.
template <class F> static inline I active(const F* row, I size, int32_t* place, F* value) {
  I count = 0;
  scan(row, size, [&](I k, F v) {
    place[count] = (int32_t)k;
    value[count++] = v;
  });
  return count;
}

// to[0 ... K * LANES) = from + sum over e of value[e] * rows[place[e]], all in registers.
template <class F, int K> static inline void gather(
    const int32_t* place, const F* value, I count, const F* rows, I stride, const F* from, F* to) {
  typedef typename Vector<F>::type V;
  enum { LANES = Vector<F>::LANES };
  V sum[K];
  for (int k = 0; k < K; ++k) sum[k] = from ? *(const V*)(from + k * LANES) : V{};
  for (I e = 0; e < count; ++e) {
    const F* row = rows + (I)place[e] * stride;
    const F factor = value[e];
    for (int k = 0; k < K; ++k) sum[k] += factor * *(const V*)(row + k * LANES);
  }
  for (int k = 0; k < K; ++k) *(V*)(to + k * LANES) = sum[k];
}

// The same over any width up to a tile.
template <class F> static inline void gather_tile(
    const int32_t* place, const F* value, I count, const F* rows, I stride, const F* from, F* to, I width) {
  enum { LANES = Vector<F>::LANES };
  if (width == WIDEST * LANES) return gather<F, WIDEST>(place, value, count, rows, stride, from, to);
  I o = 0;
  for (; o + 4 * LANES <= width; o += 4 * LANES)
    gather<F, 4>(place, value, count, rows + o, stride, from ? from + o : from, to + o);
  for (; o + LANES <= width; o += LANES) gather<F, 1>(place, value, count, rows + o, stride, from ? from + o : from, to + o);
  for (; o < width; ++o) {
    F sum = from ? from[o] : 0;
    for (I e = 0; e < count; ++e) sum += value[e] * rows[(I)place[e] * stride + o];
    to[o] = sum;
  }
}

// Lists of the active entries of some rows, one after the other; list r runs from first[r] to first[r + 1].
template <class F> static inline void list_active(const F* x, I rows, I size, I* first, int32_t* place, F* value) {
  first[0] = 0;
  for (I r = 0; r < rows; ++r) first[r + 1] = first[r] + active(x + r * size, size, place + first[r], value + first[r]);
}

// to [rows, width] = from + what the lists ask for of columns [entries, width]. The rows of from lie from_stride apart;
// null for zeros.
template <class F> static inline __attribute__((always_inline)) void gather_rows(
    const I* first, const int32_t* place, const F* value, I rows, const F* columns, I width, const F* from,
    I from_stride, F* to) {
  enum { TILE = Vector<F>::TILE };
  for (I o = 0; o < width; o += TILE)
    for (I r = 0; r < rows; ++r)
      gather_tile(place + first[r], value + first[r], first[r + 1] - first[r], columns + o, width,
                  from ? from + r * from_stride + o : from, to + r * width + o, least(TILE, width - o));
}

// Whether at most a given share of the entries is active, judged from some of the rows, which lie apart irregularly.
template <class F> static bool sparse(const F* x, I rows, I size, double most_active) {
  const I samples = least(rows, most(SAMPLED_ROWS, SAMPLED_ENTRIES / size));
  I count = 0;
  for (I s = 0; s < samples; ++s) {
    const I r = samples == rows ? s : (I)((uint64_t)s * 11400714819323198485u % (uint64_t)rows);
    for (I j = 0; j < size; ++j) count += x[r * size + j] != 0;
  }
  return count <= most_active * (samples * size);
}
