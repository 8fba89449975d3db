// Random words: Philox 4x32-10 of a key of 64 bits; core/random.py is the definition. After vectors.h.

// The product of the lower halves of two words of 64 bits.
INLINE W product(W a, W b) {
#if defined(__clang__)
  return (a & 0xffffffff) * (b & 0xffffffff);
#elif defined(__AVX512F__) && defined(__AVX512DQ__)
  typedef int V VECTOR(64);
  typedef long long T VECTOR(64);
  return (W)__builtin_ia32_pmuludq512_mask((V)a, (V)b, (T)a, (unsigned char)-1);
#elif defined(__AVX2__)
  typedef int V VECTOR(32);
  return (W)__builtin_ia32_pmuludq256((V)a, (V)b);
#elif defined(__SSE2__)
  typedef int V VECTOR(16);
  return (W)__builtin_ia32_pmuludq128((V)a, (V)b);
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

struct Words { W lane[4]; };

// Words of 32 bits in 64: so a product of two needs no room of its own. Their upper halves may hold anything.
INLINE Words philox(W key, uint32_t stream, uint32_t kind) {
  W c0 = key, c1 = key >> 32, c2 = kind - W{}, c3 = {};
  uint32_t k0 = stream, k1 = 0;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const W p0 = product(c0, 0xD2511F53ull - W{}), p1 = product(c2, 0xCD9E8D57ull - W{});
    c0 = (p1 >> 32) ^ c1 ^ k0;
    c1 = p1;
    c2 = (p0 >> 32) ^ c3 ^ k1;
    c3 = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}
// The lower halves of so many words.
INLINE U lower(const W* words) {
#if !defined(__clang__) && !defined(WIDE)
  static const U even = {
    0, 2, 4, 6,
#if __AVX2__
    8, 10, 12, 14,
#endif
#if defined(__AVX512F__) && defined(__AVX512DQ__)
    16, 18, 20, 22, 24, 26, 28, 30,
#endif
  };
  return __builtin_shuffle((U)words[0], (U)words[1], even);
#else
  typedef uint64_t All64 VECTOR(8 * LANES);
  All64 all;
  __builtin_memcpy(&all, words, sizeof(all));
  return __builtin_convertvector(all, U);
#endif
}
INLINE U random_bits(K key, uint32_t stream, int lane) {
  W words[PARTS];
  for (int k = 0; k < PARTS; ++k) words[k] = philox((W)key.part[k], stream, 0).lane[lane];
  return lower(words);
}

// Four normal numbers of a counter, which are those of four keys in a row.
template <class V> struct Draws {
  L counter[PARTS];
  V number[4];
  // A key is shifted to the right: it is never as low as this.
  void forget() {
    for (int k = 0; k < PARTS; ++k) counter[k] = INT64_MIN - L{};
  }
};
INLINE F radius(U word, F) {
  return SQRT(-2.0f * normal_log((to_F(word) + 0.5f) * 2.3283064365386963e-10f, F{}));
}
INLINE void turn(U word, F radius, F* to) {
  const Circle at = circle((to_F(word) + 0.5f) * 2.3283064365386963e-10f * 6.283185307179586f);
  to[0] = radius * at.cosine;
  to[1] = radius * at.sine;
}
#ifdef WIDE
INLINE D radius(U word, D) { return SQRT(-2.0 * LOG((to_D(word) + 0.5) * 2.3283064365386963e-10)); }
INLINE void turn(U word, D radius, D* to) {
  const D angle = (to_D(word) + 0.5) * 2.3283064365386963e-10 * 6.283185307179586;
  to[0] = radius * COS(angle);
  to[1] = radius * SIN(angle);
}
#endif
template <class V> static __attribute__((noinline)) void draw(Draws<V>& draws, uint32_t stream) {
  W words[4][PARTS];
  for (int k = 0; k < PARTS; ++k) {
    const Words of = philox((W)draws.counter[k], stream, 1);
    for (int l = 0; l < 4; ++l) words[l][k] = of.lane[l];
  }
  for (int l = 0; l < 4; l += 2) turn(lower(words[l + 1]), radius(lower(words[l]), V{}), draws.number + l);
}
template <class V> INLINE V normal(K key, uint32_t stream, Draws<V>& draws) {
  bool known = true;
  for (int k = 0; k < PARTS; ++k) known &= !any(draws.counter[k] != key.part[k] >> 2);
  if (!known) {
    for (int k = 0; k < PARTS; ++k) draws.counter[k] = key.part[k] >> 2;
    draw(draws, stream);
  }
  const U lane = lower((const W*)key.part) & 3;
  const V* const number = draws.number;
  return select(mask(lane < 2), select(mask(lane == 0), number[0], number[1]),
                select(mask(lane == 2), number[2], number[3]));
}
