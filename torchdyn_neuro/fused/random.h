// Random words: Philox 4x32-10 of a key of 64 bits; core/random.py is the definition. After memory.h.

// Words of 32 bits in 64: so a product of two needs no room of its own, and vector code no reordering.
static inline __attribute__((always_inline)) uint32_t random_bits(I key, uint32_t stream, int lane) {
  const uint64_t word = 0xffffffff;
  uint64_t c0 = (uint64_t)key & word, c1 = (uint64_t)key >> 32, c2 = 0, c3 = 0;
  uint32_t k0 = stream, k1 = 0;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * (c0 & word), p1 = 0xCD9E8D57ull * (c2 & word);
    c0 = (p1 >> 32) ^ c1 ^ k0;
    c1 = p1;
    c2 = (p0 >> 32) ^ c3 ^ k1;
    c3 = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (uint32_t)(lane == 0 ? c0 : lane == 1 ? c1 : lane == 2 ? c2 : c3);
}
