// What every generated loop starts from, after memory.h.
enum { ALIGNMENT = 64 };

// Elementary functions. VECTOR_MATH: the C library has vector versions; else the exponential is computed inline, so that
// loops which hold no other function still become vector code.
#ifdef VECTOR_MATH
#define ELEMENTARY __attribute__((const, simd("notinbranch")))
#else
#define ELEMENTARY __attribute__((const))
#endif
#define FUNCTION(NAME, name)                                          \
  extern "C" {                                                        \
  ELEMENTARY float name##f(float) noexcept;                           \
  ELEMENTARY double name(double) noexcept;                            \
  }                                                                   \
  static inline float NAME(float x) { return name##f(x); }            \
  static inline double NAME(double x) { return name(x); }
FUNCTION(EXPM1, expm1)
FUNCTION(LOG, log)
FUNCTION(LOG1P, log1p)
FUNCTION(SIN, sin)
FUNCTION(COS, cos)
FUNCTION(TANH, tanh)
FUNCTION(SINH, sinh)
FUNCTION(COSH, cosh)
FUNCTION(ERF, erf)
extern "C" {
ELEMENTARY float powf(float, float) noexcept;
ELEMENTARY double pow(double, double) noexcept;
}
static inline float POW(float x, float y) { return powf(x, y); }
static inline double POW(double x, double y) { return pow(x, y); }

#define INTRINSIC(NAME, name)                                         \
  static inline float NAME(float x) { return __builtin_##name##f(x); } \
  static inline double NAME(double x) { return __builtin_##name(x); }
INTRINSIC(SQRT, sqrt)
INTRINSIC(ABS, fabs)
INTRINSIC(FLOOR, floor)
INTRINSIC(CEIL, ceil)
INTRINSIC(TRUNC, trunc)

#ifdef VECTOR_MATH
FUNCTION(EXP, exp)
#else
// exp(x) = 2^k exp(r) with |r| <= ln(2) / 2; 2^k in two factors, so that subnormal results come out.
static inline float power_of_two(int32_t k) {
  union { int32_t i; float f; } bits = {(k + 127) << 23};
  return bits.f;
}
static inline float EXP(float x) {
  const float y = x > 89.0f ? 89.0f : x < -104.0f ? -104.0f : x;
  const float k = (y * 1.44269504f + 12582912.0f) - 12582912.0f;
  const float r = (y - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720; p = p * r + 1.0f / 120; p = p * r + 1.0f / 24; p = p * r + 1.0f / 6;
  p = p * r + 0.5f; p = p * r + 1.0f; p = p * r + 1.0f;
  const int32_t n = (int32_t)k, half = n >> 1;
  const float e = p * power_of_two(half) * power_of_two(n - half);
  return x != x ? x : e;
}
static inline double power_of_two(int64_t k) {
  union { int64_t i; double f; } bits = {(k + 1023) << 52};
  return bits.f;
}
static inline double EXP(double x) {
  const double y = x > 710.0 ? 710.0 : x < -746.0 ? -746.0 : x;
  const double k = (y * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0;
  const double r = (y - k * 0.693145751953125) - k * 1.42860682030941723212e-6;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600; p = p * r + 1.0 / 39916800; p = p * r + 1.0 / 3628800; p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320; p = p * r + 1.0 / 5040; p = p * r + 1.0 / 720; p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24; p = p * r + 1.0 / 6; p = p * r + 0.5; p = p * r + 1.0; p = p * r + 1.0;
  const int64_t n = (int64_t)k, half = n >> 1;
  const double e = p * power_of_two(half) * power_of_two(n - half);
  return x != x ? x : e;
}
#endif

// Storage types: how a number lies in memory, and how it is read and written.
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
// A number as a byte: without its fraction, modulo 256; of one that no whole number of 64 bits holds, as on x86, 0.
static inline double round_byte(double x) {
  return (uint8_t)(x > -9e18 && x < 9e18 ? (int64_t)x : 0);
}
#ifdef HALF
typedef _Float16 half;
static inline float read(half x) { return (float)x; }
static inline void write(half& to, float x) { to = (half)x; }
static inline float round_half(float x) { return (float)(half)x; }
#endif
static inline float round_bfloat16(float x) {
  bfloat16 narrow;
  write(narrow, x);
  return read(narrow);
}

// A parameter on the neurons start ... start + width: entry (i / inner) % size of its values.
template <class To, class From>
static inline void load_parameter(To* to, const From* from, I start, int width, I inner, I size) {
  I entry = (start / inner) % size, left = inner - start % inner;
  for (int j = 0; j < width;) {
    if (inner == 1) {
      const I run = size - entry < width - j ? size - entry : width - j;
      for (I r = 0; r < run; ++r) to[j + r] = read(from[entry + r]);
      j += (int)run;
      entry = 0;
      if (size == 1) {
        for (; j < width; ++j) to[j] = to[0];
      }
    } else {
      const To value = read(from[entry]);
      for (; left > 0 && j < width; --left, ++j) to[j] = value;
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
