// Frames of synapses, [post, pre] in each row: the sum over an axis (-1: of pre, -2: of post), and what repeats along it.
static inline void bring(char* to, const char* from, I bytes) { __builtin_memcpy(to, from, (__SIZE_TYPE__)bytes); }
enum { SUMS = 16 };
// The sum of count terms, of which sixteen go on side by side.
template <class F, class Term> static inline F sum_of(I count, Term term) {
  F part[SUMS] = {0};
  I i = 0;
  for (; i + SUMS <= count; i += SUMS)
    for (int k = 0; k < SUMS; ++k) part[k] += term(i + k);
  for (int k = 0; i < count; ++i, ++k) part[k] += term(i);
  for (int half = SUMS / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) part[k] += part[k + half];
  return part[0];
}
template <class F> static inline void sum_along(I axis, const F* from, F* to, I rows, I post, I pre) {
  for (I row = 0; row < rows; ++row, from += post * pre) {
    if (axis == -2) {
      for (I i = 0; i < pre; ++i) to[i] = 0;
      for (I o = 0; o < post; ++o)
        for (I i = 0; i < pre; ++i) to[i] += from[o * pre + i];
      to += pre;
    } else {
      for (I o = 0; o < post; ++o) {
        const F* const line = from + o * pre;
        *to++ = sum_of<F>(pre, [=](I i) { return line[i]; });
      }
    }
  }
}
template <class F> static inline void repeat_along(I axis, const F* from, F* to, I rows, I post, I pre) {
  for (I row = 0; row < rows; ++row, from += axis == -2 ? pre : post)
    for (I o = 0; o < post; ++o, to += pre) {
      if (axis == -2)
        bring((char*)to, (const char*)from, pre * (I)sizeof(F));
      else
        for (I i = 0; i < pre; ++i) to[i] = from[o];
    }
}
// The sum along an axis of a frame of synapses times one of neurons: axis -1, W x; -2, x W.
template <class F> static inline void dot_along(I axis, const F* from, const F* with, F* to, I rows, I post, I pre) {
  for (I row = 0; row < rows; ++row, from += post * pre) {
    if (axis == -2) {
      for (I i = 0; i < pre; ++i) to[i] = 0;
      for (I o = 0; o < post; ++o) {
        const F factor = with[o];
        for (I i = 0; i < pre; ++i) to[i] += factor * from[o * pre + i];
      }
      to += pre;
      with += post;
    } else {
      for (I o = 0; o < post; ++o) {
        const F* const line = from + o * pre;
        *to++ = sum_of<F>(pre, [=](I i) { return line[i] * with[i]; });
      }
      with += pre;
    }
  }
}
