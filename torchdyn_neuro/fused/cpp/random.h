// Random words: Philox 4x32-10 of a key of 64 bits; core/random.py is the definition. After vectors.h.
// Loops of a few rounds are written out: what they compute stays in registers.

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

// Words of 32 bits in 64: so a product of two needs no room of its own. Their upper halves may hold anything. COUNT keys
// at a time: each round waits for the one before.
template <int COUNT> struct Words { W lane[4][COUNT]; };
template <int COUNT, int ROUNDS = 10> INLINE Words<COUNT> philox(const L* keys, uint32_t stream, uint32_t kind) {
  Words<COUNT> c;
#pragma GCC unroll 4
  for (int k = 0; k < COUNT; ++k) {
    c.lane[0][k] = (W)keys[k];
    c.lane[1][k] = (W)keys[k] >> 32;
    c.lane[2][k] = kind - W{};
    c.lane[3][k] = W{};
  }
  uint32_t k0 = stream, k1 = 0;
#pragma GCC unroll 10
  for (int round = 0; round < ROUNDS; ++round) {
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k) {
      const W p0 = product(c.lane[0][k], 0xD2511F53ull - W{}), p1 = product(c.lane[2][k], 0xCD9E8D57ull - W{});
      c.lane[0][k] = (p1 >> 32) ^ c.lane[1][k] ^ k0;
      c.lane[1][k] = p1;
      c.lane[2][k] = (p0 >> 32) ^ c.lane[3][k] ^ k1;
      c.lane[3][k] = p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
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
INLINE U random_bits(K key, uint32_t stream, int lane) { return lower(philox<PARTS>(key.part, stream, 0).lane[lane]); }

// Four normal numbers of four keys in a row. Where the lanes go through them together, turn is the next one; at 4 all
// have been used.
template <class V> struct Draws {
  L first[PARTS];
  V number[4];
  I turn;
  // The first of four keys is a multiple of 4.
  void forget() {
    turn = 5;
#pragma GCC unroll 2
    for (int k = 0; k < PARTS; ++k) first[k] = 1 - L{};
  }
  bool begins(const L* keys) const {
    bool same = true;
#pragma GCC unroll 2
    for (int k = 0; k < PARTS; ++k) same &= !any(first[k] != keys[k]);
    return same;
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
template <int COUNT, class V> INLINE void draw(Draws<V>* const* draws, uint32_t stream) {
  L counters[COUNT * PARTS];
#pragma GCC unroll 4
  for (int n = 0; n < COUNT; ++n)
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; ++k) counters[n * PARTS + k] = draws[n]->first[k] >> 2;
  const Words<COUNT * PARTS> words = philox<COUNT * PARTS>(counters, stream, 1);
  V radii[COUNT][2];
#pragma GCC unroll 4
  for (int l = 0; l < 2; ++l)
#pragma GCC unroll 4
    for (int n = 0; n < COUNT; ++n) radii[n][l] = radius(lower(words.lane[2 * l] + n * PARTS), V{});
#pragma GCC unroll 4
  for (int l = 0; l < 2; ++l)
#pragma GCC unroll 4
    for (int n = 0; n < COUNT; ++n)
      turn(lower(words.lane[2 * l + 1] + n * PARTS), radii[n][l], draws[n]->number + 2 * l);
}
// Numbers that are not at hand. The keys of the next vector of a row, if it has kept up with this one, have moved on as
// these have, and two draws at a time take less than twice as long.
template <class V> static __attribute__((noinline)) V drawn(const K& key, uint32_t stream, Draws<V>* own, Draws<V>* next) {
  const U lane = lower((const W*)key.part) & 3;
  const bool together = !any((N)(lane != lane[0]));
  L first[PARTS];
#pragma GCC unroll 2
  for (int k = 0; k < PARTS; ++k) first[k] = key.part[k] & ~(int64_t)3;
  if (!own->begins(first)) {
    const bool two = next && together && own->turn < 5 && next->turn == own->turn;
#pragma GCC unroll 2
    for (int k = 0; k < PARTS; ++k) {
      if (two) next->first[k] += first[k] - own->first[k];
      own->first[k] = first[k];
    }
    Draws<V>* const both[] = {own, next};
    if (two) {
      next->turn = lane[0];
      draw<2>(both, stream);
    } else {
      draw<1>(both, stream);
    }
  }
  own->turn = together ? lane[0] + 1 : 5;
  const V* const number = own->number;
  return select(mask(lane < 2), select(mask(lane == 0), number[0], number[1]),
                select(mask(lane == 2), number[2], number[3]));
}
template <class V> INLINE V normal(K key, uint32_t stream, Draws<V>* own, Draws<V>* next) {
  const I turn = own->turn;
  if (turn < 4) {
    L keys[PARTS];
#pragma GCC unroll 2
    for (int k = 0; k < PARTS; ++k) keys[k] = key.part[k] - turn;
    if (own->begins(keys)) {
      own->turn = turn + 1;
      return own->number[turn];
    }
  }
  return drawn(key, stream, own, next);
}
