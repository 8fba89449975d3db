// Elements by the vector: every value of a generated loop is one, so that nothing depends on what a compiler makes of
// branches. After memory.h; WIDE is defined where a number of the loop has 64 bits.
enum { ALIGNMENT = 64 };
#define INLINE static inline __attribute__((always_inline))
#define VECTOR(bytes) __attribute__((vector_size(bytes)))

#if defined(__AVX512F__) && defined(__AVX512DQ__)
enum { WIDTH = 64 };
#elif defined(__AVX2__)
enum { WIDTH = 32 };
#else
enum { WIDTH = 16 };
#endif
#ifdef WIDE
enum { LANES = WIDTH / 8 };
#else
enum { LANES = WIDTH / 4 };
#endif
typedef float F VECTOR(4 * LANES);
typedef int32_t N VECTOR(4 * LANES);
typedef uint32_t U VECTOR(4 * LANES);  // random words
#ifdef WIDE
typedef double D VECTOR(8 * LANES);
typedef int64_t M VECTOR(8 * LANES);  // masks: all bits of a lane, or none
#else
typedef N M;
#endif
typedef int64_t L VECTOR(WIDTH);
typedef uint64_t W VECTOR(WIDTH);
enum { PARTS = 8 * LANES / WIDTH };
struct K { L part[PARTS]; };  // keys of random numbers

// One number in all lanes. Not a sum, which would lose the sign of a negative zero.
template <class V> struct All;
template <> struct All<F> { INLINE F of(float x) { return x - F{}; } };
template <> struct All<K> {
  INLINE K of(I x) {
    K to;
    for (int k = 0; k < PARTS; ++k) to.part[k] = x - L{};
    return to;
  }
};
template <> struct All<M> { INLINE M of(bool x) { return x ? ~M{} : M{}; } };
#ifdef WIDE
template <> struct All<D> { INLINE D of(double x) { return x - D{}; } };
#endif

INLINE M mask(N m) { return __builtin_convertvector(m, M); }
INLINE F select(M m, F a, F b) { return __builtin_convertvector(m, N) ? a : b; }
INLINE M select(M m, M a, M b) { return m ? a : b; }
INLINE K select(M m, K a, K b) {
  int64_t lane[LANES];
  L part[PARTS];
  for (int l = 0; l < LANES; ++l) lane[l] = m[l];
  __builtin_memcpy(part, lane, sizeof(lane));
  for (int k = 0; k < PARTS; ++k) a.part[k] = part[k] ? a.part[k] : b.part[k];
  return a;
}
#ifdef WIDE
INLINE M mask(M m) { return m; }
INLINE D select(M m, D a, D b) { return m ? a : b; }
#endif
INLINE K operator+(K a, K b) {
  for (int k = 0; k < PARTS; ++k) a.part[k] += b.part[k];
  return a;
}

// From one kind of value to another.
template <class From> INLINE F to_F(From x) { return __builtin_convertvector(x, F); }
#ifdef WIDE
template <class From> INLINE D to_D(From x) { return __builtin_convertvector(x, D); }
INLINE D mask_to_D(M m) { return select(m, All<D>::of(1), D{}); }
#endif
INLINE F mask_to_F(M m) { return select(m, All<F>::of(1), F{}); }

INLINE K to_K(K x) { return x; }
INLINE K to_K(U x) {
  int64_t lane[LANES];
  for (int l = 0; l < LANES; ++l) lane[l] = x[l];
  K to;
  __builtin_memcpy(to.part, lane, sizeof(lane));
  return to;
}
INLINE F to_F(K x) {
  F to;
  for (int l = 0; l < LANES; ++l) to[l] = (float)x.part[l * PARTS / LANES][l % (LANES / PARTS)];
  return to;
}
#ifdef WIDE
INLINE D to_D(K x) {
  D to;
  for (int l = 0; l < LANES; ++l) to[l] = (double)x.part[l * PARTS / LANES][l % (LANES / PARTS)];
  return to;
}
#endif

// Whether a gradient arrives, and a number where it does, else zero.
#if !defined(__clang__) && defined(__AVX512F__) && defined(__AVX512DQ__) && !defined(WIDE)
typedef unsigned short Arrival;  // part of the instruction that computes the number
INLINE Arrival arrival(bool arrives) { return arrives ? 0xffff : 0; }
INLINE F given(F x, Arrival arrives) { return __builtin_ia32_movaps512_mask(x, F{}, arrives); }
#else
typedef N Arrival;
INLINE Arrival arrival(bool arrives) { return arrives ? ~N{} : N{}; }
INLINE F given(F x, Arrival arrives) { return (F)((N)x & arrives); }
#endif
#ifdef WIDE
INLINE D given(D x, M mask) { return (D)((M)x & mask); }
#endif

// Whether any bit is set.
INLINE bool any(L x) {
#if !defined(__clang__) && defined(__AVX512F__) && defined(__AVX512DQ__)
  typedef long long Wide VECTOR(WIDTH);
  return __builtin_ia32_cvtq2mask512((Wide)(x != L{}));
#else
  int64_t found = 0;
  for (int k = 0; k < WIDTH / 8; ++k) found |= x[k];
  return found;
#endif
}
INLINE bool any(N x) {
  L bits = {};
  __builtin_memcpy(&bits, &x, sizeof(x));
  return any(bits);
}

// Which lanes are not zero, NaN among them, as bits; nearly always none.
#if !defined(__clang__) && defined(__AVX512F__) && defined(__AVX512DQ__)
enum { NOT_EQUAL = 4, AS_SET = 4 };
#ifdef WIDE
INLINE uint64_t not_zero(D x) { return (uint8_t)__builtin_ia32_cmppd512_mask(x, D{}, NOT_EQUAL, -1, AS_SET); }
#else
INLINE uint64_t not_zero(F x) { return (uint16_t)__builtin_ia32_cmpps512_mask(x, F{}, NOT_EQUAL, -1, AS_SET); }
#endif
#endif
template <class V> INLINE uint64_t not_zero(V x) {
  uint64_t bits = 0;
  if (any(x != V{}))
    for (int l = 0; l < LANES; ++l) bits |= (uint64_t)(x[l] != 0) << l;
  return bits;
}

// One lane after the other, for what has no vector of its own; compilers turn these loops into vector code.
template <class V, class Number> struct Lanes {
  Number lane[LANES];
  INLINE Lanes of(V x) {
    Lanes to;
    __builtin_memcpy(to.lane, &x, sizeof(x));
    return to;
  }
  INLINE V vector(const Lanes& from) {
    V to;
    __builtin_memcpy(&to, from.lane, sizeof(to));
    return to;
  }
};
