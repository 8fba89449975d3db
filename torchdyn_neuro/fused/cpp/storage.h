// Storage types: how numbers lie in memory, and how vectors are read and written. After vectors.h.
struct bfloat16 { uint16_t bits; };
struct byte { uint8_t bits; };

static inline float read(float x) { return x; }
static inline double read(double x) { return x; }
static inline I read(I x) { return x; }
static inline float read(bfloat16 x) {
  union { uint32_t i; float f; } bits = {(uint32_t)x.bits << 16};
  return bits.f;
}
static inline float read(byte x) { return (float)x.bits; }
static inline void write(float& to, float x) { to = x; }
static inline void write(double& to, double x) { to = x; }
static inline void write(I& to, I x) { to = x; }
static inline void write(bfloat16& to, float x) {
  union { float f; uint32_t i; } bits = {x};
  const uint32_t rounded = (bits.i + 0x7fff + ((bits.i >> 16) & 1)) >> 16;
  to.bits = x != x ? 0x7fc0 : (uint16_t)rounded;
}
static inline void write(byte& to, float x) { to.bits = (uint8_t)(int32_t)x; }
static inline void write(byte& to, double x) { to.bits = (uint8_t)(int32_t)x; }
// A mask.
static inline void write(byte& to, int32_t x) { to.bits = (uint8_t)(x & 1); }
static inline void write(byte& to, I x) { to.bits = (uint8_t)(x & 1); }
static inline float round_bfloat16(float x) {
  bfloat16 narrow;
  write(narrow, x);
  return read(narrow);
}
LANE_BY_LANE(F, float, ROUND_BFLOAT16, round_bfloat16)
// A number as a byte: without its fraction, modulo 256; of one that no whole number of 64 bits holds, as on x86, 0.
static inline uint8_t round_byte(double x) { return (uint8_t)(x > -9e18 && x < 9e18 ? (int64_t)x : 0); }
LANE_BY_LANE(F, float, ROUND_BYTE, round_byte)
#ifdef WIDE
LANE_BY_LANE(D, double, ROUND_BYTE, round_byte)
#endif
#ifdef HALF
typedef _Float16 half;
static inline float read(half x) { return (float)x; }
static inline void write(half& to, float x) { to = (half)x; }
static inline float round_half(float x) { return (float)(half)x; }
LANE_BY_LANE(F, float, ROUND_HALF, round_half)
#endif

// The number of a lane.
template <class V> struct Number { typedef float type; };
template <> struct Number<K> { typedef I type; };
template <> struct Number<M> { typedef __typeof__(M{}[0] + 0) type; };
#ifdef WIDE
template <> struct Number<D> { typedef double type; };
#endif

// What a lane holds of a number in memory; where it is whole, a byte is a truth value, of which it has all bits.
template <class To> struct Held {
  template <class Stored> INLINE To of(Stored x) { return (To)read(x); }
};
template <> struct Held<int32_t> {
  INLINE int32_t of(byte x) { return -(int32_t)(x.bits != 0); }
  template <class Stored> INLINE int32_t of(Stored x) { return (int32_t)read(x); }
};
template <> struct Held<I> {
  INLINE I of(byte x) { return -(I)(x.bits != 0); }
  template <class Stored> INLINE I of(Stored x) { return (I)read(x); }
};

// The next vector of a row.
template <class V, class Stored> INLINE V load(const Stored* from) {
  typedef typename Number<V>::type To;
  V to;
  if (sizeof(To) == sizeof(Stored)) {
    __builtin_memcpy(&to, from, sizeof(to));
    return to;
  }
  Lanes<V, To> lanes;
  for (int l = 0; l < LANES; ++l) lanes.lane[l] = Held<To>::of(from[l]);
  return Lanes<V, To>::vector(lanes);
}
// Past the caches where it is said and the processor can.
template <class V, class Stored> INLINE void store(Stored* to, V x, bool past) {
  typedef typename Number<V>::type From;
  if (sizeof(From) == sizeof(Stored)) {
#ifdef STREAM
    if (past && sizeof(V) % sizeof(line) == 0) {
      for (int k = 0; k < (int)(sizeof(V) / sizeof(line)); ++k) {
        line part;
        __builtin_memcpy(&part, (const char*)&x + k * sizeof(line), sizeof(line));
        STREAM((char*)to + k * sizeof(line), part);
      }
      return;
    }
#endif
    __builtin_memcpy(to, &x, sizeof(x));
    return;
  }
  const Lanes<V, From> lanes = Lanes<V, From>::of(x);
  for (int l = 0; l < LANES; ++l) write(to[l], lanes.lane[l]);
}

#define APART static __attribute__((noinline))
// The elements of a row that are there.
template <class Stored> APART Stored* copied(Stored* to, const Stored* from, int count) {
  for (int j = 0; j < count; ++j) to[j] = from[j];
  return to;
}
template <class Stored> APART void send(Stored* to, const Stored* from, int count, bool past) {
  if (past)
    stream_row(to, from, count * sizeof(Stored));
  else
    copied(to, from, count);
}
template <class V, class Stored> APART void fill(V* to, const Stored* from, int count) {
  int i = 0;
  for (; count >= LANES; ++i, from += LANES, count -= LANES) to[i] = load<V>(from);
  if (count <= 0) return;
  Stored part[LANES] = {};
  to[i] = load<V>(copied(part, from, count));
}
template <class V, class Stored> APART void empty(Stored* to, const V* from, int count, bool past) {
  for (; count >= LANES; ++from, to += LANES, count -= LANES) store(to, *from, past);
  if (count <= 0) return;
  Stored part[LANES];
  store(part, *from, false);
  copied(to, part, count);
}

// A parameter on the neurons start ... start + width: entry (i / inner) % size of its values.
template <class To, class From>
static inline void load_parameter(To* to, const From* from, I start, int width, I inner, I size) {
  I entry = (start / inner) % size, left = inner - start % inner;
  for (int j = 0; j < width;) {
    if (inner == 1) {
      const I run = size - entry < width - j ? size - entry : width - j;
      for (I r = 0; r < run; ++r) to[j + r] = Held<To>::of(from[entry + r]);
      j += (int)run;
      entry = 0;
      if (size == 1) {
        for (; j < width; ++j) to[j] = to[0];
      }
    } else {
      const To value = Held<To>::of(from[entry]);
      const int run = left < width - j ? (int)left : width - j;
      for (int r = 0; r < run; ++r) to[j + r] = value;
      j += run;
      left = inner;
      entry = entry + 1 == size ? 0 : entry + 1;
    }
  }
}

// The gradient of a parameter: one number for each neuron, or the sum of the block if one value serves all.
template <class To, class From>
static inline void store_parameter_gradient(To* to, const From* from, I block, I start, int width, I size) {
  if (size != 1) {
    for (int j = 0; j < width; ++j) to[start + j] = (To)from[j];
    return;
  }
  double sum = 0;
  for (int j = 0; j < width; ++j) sum += from[j];
  to[block] = (To)sum;
}
