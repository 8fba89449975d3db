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
INLINE Words philox(W key, uint32_t stream) {
  W c0 = key, c1 = key >> 32, c2 = {}, c3 = {};
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
INLINE U random_bits(K key, uint32_t stream, int lane) {
  uint64_t wide[LANES];
  Lanes<U, uint32_t> to;
  for (int k = 0; k < PARTS; ++k) {
    const W words = philox((W)key.part[k], stream).lane[lane];
    __builtin_memcpy(wide + k * (WIDTH / 8), &words, sizeof(words));
  }
  for (int l = 0; l < LANES; ++l) to.lane[l] = (uint32_t)wide[l];
  return Lanes<U, uint32_t>::vector(to);
}
