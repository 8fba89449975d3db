// Elementary functions of vectors. After vectors.h. VECTOR_MATH: the C library has vector versions of its functions.
#ifdef VECTOR_MATH
#define ELEMENTARY __attribute__((const, simd("notinbranch")))
#else
#define ELEMENTARY __attribute__((const))
#endif
extern "C" {
#define DECLARE(name)                \
  ELEMENTARY float name##f(float) noexcept; \
  ELEMENTARY double name(double) noexcept;
DECLARE(expm1) DECLARE(log) DECLARE(log1p) DECLARE(sin) DECLARE(cos) DECLARE(tanh) DECLARE(sinh) DECLARE(cosh) DECLARE(erf)
ELEMENTARY float powf(float, float) noexcept;
ELEMENTARY double pow(double, double) noexcept;
}

// A function of the library on vectors of one type.
#define LANE_BY_LANE(V, Number, NAME, name)                            \
  INLINE V NAME(V x) {                                                 \
    Lanes<V, Number> lanes = Lanes<V, Number>::of(x);                  \
    _Pragma("omp simd") for (int l = 0; l < LANES; ++l) lanes.lane[l] = name(lanes.lane[l]); \
    return Lanes<V, Number>::vector(lanes);                            \
  }
#define LANE_BY_LANE_2(V, Number, NAME, name)                          \
  INLINE V NAME(V x, V y) {                                            \
    Lanes<V, Number> lanes = Lanes<V, Number>::of(x), other = Lanes<V, Number>::of(y); \
    _Pragma("omp simd") for (int l = 0; l < LANES; ++l) lanes.lane[l] = name(lanes.lane[l], other.lane[l]); \
    return Lanes<V, Number>::vector(lanes);                            \
  }
LANE_BY_LANE(F, float, LOG1P, log1pf)
LANE_BY_LANE(F, float, FAR_SIN, sinf)
LANE_BY_LANE(F, float, FAR_COS, cosf)
LANE_BY_LANE(F, float, SINH, sinhf)
LANE_BY_LANE(F, float, COSH, coshf)
LANE_BY_LANE(F, float, ERF, erff)
LANE_BY_LANE_2(F, float, POW, powf)
LANE_BY_LANE(F, float, SQRT, __builtin_sqrtf)
LANE_BY_LANE(F, float, FLOOR, __builtin_floorf)
LANE_BY_LANE(F, float, CEIL, __builtin_ceilf)
LANE_BY_LANE(F, float, TRUNC, __builtin_truncf)
#ifdef WIDE
LANE_BY_LANE(D, double, EXPM1, expm1)
LANE_BY_LANE(D, double, LOG, log)
LANE_BY_LANE(D, double, LOG1P, log1p)
LANE_BY_LANE(D, double, SIN, sin)
LANE_BY_LANE(D, double, COS, cos)
LANE_BY_LANE(D, double, TANH, tanh)
LANE_BY_LANE(D, double, SINH, sinh)
LANE_BY_LANE(D, double, COSH, cosh)
LANE_BY_LANE(D, double, ERF, erf)
LANE_BY_LANE_2(D, double, POW, pow)
LANE_BY_LANE(D, double, SQRT, __builtin_sqrt)
LANE_BY_LANE(D, double, FLOOR, __builtin_floor)
LANE_BY_LANE(D, double, CEIL, __builtin_ceil)
LANE_BY_LANE(D, double, TRUNC, __builtin_trunc)
#endif

// a * b + c, rounded once where the processor can.
INLINE F FMA(F a, F b, F c) {
#if defined(__clang__)
  return __builtin_elementwise_fma(a, b, c);
#elif defined(__AVX512F__) && defined(__AVX512DQ__) && !defined(WIDE)
  return __builtin_ia32_vfmaddps512_mask(a, b, c, (unsigned short)-1, 4);
#elif defined(__AVX2__) && defined(__FMA__) && (defined(__AVX512DQ__) || !defined(WIDE))
  return __builtin_ia32_vfmaddps256(a, b, c);
#elif defined(__FMA__)
  return __builtin_ia32_vfmaddps(a, b, c);
#else
  return a * b + c;
#endif
}
INLINE F FMA(F a, F b, float c) { return FMA(a, b, All<F>::of(c)); }
INLINE F FMA(F a, float b, F c) { return FMA(a, All<F>::of(b), c); }

// x between two numbers; NaN stays.
INLINE F within(F x, float low, float high) {
  x = high < x ? All<F>::of(high) : x;
  return low > x ? All<F>::of(low) : x;
}
// The whole number next to x, |x| < 2^22: added to this its binary digits are the last ones.
INLINE F nearest(F x) { return (x + 12582912.0f) - 12582912.0f; }
INLINE F power_of_two(N k) { return (F)((k + 127) << 23); }

// exp(x) = 2^k exp(r) with |r| <= ln(2) / 2; 2^k in two factors, so that subnormal results come out.
INLINE F EXP(F x) {
  const F y = within(x, -104.0f, 89.0f), k = nearest(y * 1.44269504f);
  const F r = FMA(k, 2.12194440e-4f, FMA(k, -0.693359375f, y)), square = r * r;
  const F low = FMA(r, 1.0f / 6, All<F>::of(0.5f)), middle = FMA(r, 1.0f / 120, All<F>::of(1.0f / 24));
  const F p = FMA(FMA(FMA(FMA(r, 1.0f / 5040, All<F>::of(1.0f / 720)), square, middle), square, low), square, r) + 1.0f;
  const N n = __builtin_convertvector(k, N), half = n >> 1;
  return p * power_of_two(half) * power_of_two(n - half);
}
INLINE F ABS(F x) { return (F)((N)x & 0x7fffffff); }
// exp(x) - 1 = 2^k (exp(r) - 1) + (2^k - 1); of halves, for 2^128 is no float. A sum would lose the sign of a zero, and
// half of the smallest number.
INLINE F EXPM1(F x) {
  const F y = within(x, -18.0f, 89.0f), k = nearest(y * 1.44269504f);
  const F r = FMA(k, 2.12194440e-4f, FMA(k, -0.693359375f, y)), square = r * r;
  const F low = FMA(r, 1.0f / 6, All<F>::of(0.5f)), middle = FMA(r, 1.0f / 120, All<F>::of(1.0f / 24));
  const F p = FMA(FMA(FMA(FMA(r, 1.0f / 5040, All<F>::of(1.0f / 720)), square, middle), square, low), square, r);
  const F half = power_of_two(__builtin_convertvector(k, N) - 1);
  return ABS(x) < 2.98023224e-8f ? x : 2.0f * FMA(half, p, half - 0.5f);
}
INLINE F TANH(F x) {
  const F change = EXPM1(-2.0f * ABS(x)), size = -change / (2.0f + change);
  return (F)((N)size | ((N)x & ~0x7fffffff));
}
// Of a normal number: the logarithm of its power of two, and of what is left, between 2/3 and 4/3; i: added to the power.
INLINE F normal_log(F x, F i) {
  const N bits = (N)x, e = (bits - 0x3f2aaaab) & (int32_t)0xff800000;
  i = FMA(__builtin_convertvector(e, F), 1.1920929e-7f, i);
  const F m = (F)(bits - e) - 1.0f, s = m * m;
  F r = FMA(All<F>::of(-0.130310059f), s, -0.121483512f), t = FMA(All<F>::of(0.140869141f), s, 0.139814854f);
  r = FMA(r, s, -0.166846126f);
  t = FMA(t, s, 0.200120345f);
  r = FMA(FMA(t, m, FMA(r, s, -0.249996200f)), m, 0.333331972f);
  r = FMA(FMA(r, m, -0.5f), s, m);
  return FMA(i, 0.693147182f, r);
}
INLINE F LOG(F x) {
  const N subnormal = x < 1.17549435e-38f;
  const F r = normal_log(subnormal ? x * 8388608.0f : x, subnormal ? All<F>::of(-23.0f) : F{});
  const float infinite = __builtin_inff();
  const F outside = x < 0.0f ? All<F>::of(__builtin_nanf("")) : x == 0.0f ? All<F>::of(-infinite) : x;
  return (x > 0.0f) & (x < infinite) ? r : outside;
}
// Half pi in three parts: the first has few digits where a product is rounded before it is added.
#if defined(__FMA__) || defined(__clang__)
static const float HALF_PI[] = {1.57079601f, 3.13916473e-7f, 5.39030253e-15f};
#else
static const float HALF_PI[] = {1.5703125f, 4.83751297e-4f, 7.54978995e-8f};
#endif
// Sine and cosine of what is left of x after quarter turns, |x| < 8192.
struct Circle { F sine, cosine; };
INLINE Circle circle(F x) {
  const F j = nearest(x * 0.636619747f);
  const F r = FMA(j, -HALF_PI[2], FMA(j, -HALF_PI[1], FMA(j, -HALF_PI[0], x))), s = r * r;
  const N quarter = __builtin_convertvector(j, N);
  F c = FMA(All<F>::of(2.44677067e-5f), s, -1.38877297e-3f), p = FMA(All<F>::of(2.86567956e-6f), s, -1.98559923e-4f);
  c = FMA(FMA(FMA(c, s, 4.16666567e-2f), s, -0.5f), s, 1.0f);
  p = FMA(FMA(FMA(p, s, 8.33338592e-3f), s, -1.66666672e-1f), r * s, r);
  const N odd = (quarter & 1) != 0;
  return {(F)((N)(odd ? c : p) ^ ((quarter & 2) << 30)), (F)((N)(odd ? p : c) ^ (((quarter + 1) & 2) << 30))};
}
INLINE F SIN(F x) {
  if (__builtin_expect(any(ABS(x) >= 8192.0f), 0)) return FAR_SIN(x);
  return x == 0.0f ? x : circle(x).sine;  // with its sign
}
INLINE F COS(F x) {
  if (__builtin_expect(any(ABS(x) >= 8192.0f), 0)) return FAR_COS(x);
  return circle(x).cosine;
}
#ifdef WIDE
INLINE D power_of_two(M k) { return (D)((k + 1023) << 52); }
INLINE D EXP(D x) {
  D y = 710.0 < x ? All<D>::of(710.0) : x;
  y = -746.0 > y ? All<D>::of(-746.0) : y;
  const D k = (y * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0;
  const D r = (y - k * 0.693145751953125) - k * 1.42860682030941723212e-6;
  D p = All<D>::of(1.0 / 6227020800.0);
  p = p * r + 1.0 / 479001600; p = p * r + 1.0 / 39916800; p = p * r + 1.0 / 3628800; p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320; p = p * r + 1.0 / 5040; p = p * r + 1.0 / 720; p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24; p = p * r + 1.0 / 6; p = p * r + 0.5; p = p * r + 1.0; p = p * r + 1.0;
  const M n = __builtin_convertvector(k, M), half = n >> 1;
  return p * power_of_two(half) * power_of_two(n - half);
}
INLINE D ABS(D x) { return (D)((M)x & (int64_t)0x7fffffffffffffff); }
#endif

// What follows torch where an operand is NaN.
template <class V> INLINE V MAXIMUM(V a, V b) { return a != a ? a : a > b ? a : b; }
template <class V> INLINE V MINIMUM(V a, V b) { return a != a ? a : a < b ? a : b; }
template <class V> INLINE V RELU(V x) { return x < V{} ? V{} : x; }
template <class V> INLINE V SIGN(V x) { return (x > V{} ? V{} + 1 : V{}) - (x < V{} ? V{} + 1 : V{}); }
