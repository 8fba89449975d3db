// Lines of past frames. at: the frame of now, rows of width numbers; those before lie every stride bytes. After synapses.h.

// Which frames are read: taps: how many, and of (inner, size), so that entry (i / inner) % size belongs to element i;
// then the lags of each; shares likewise. transposed: a frame is added to those that would be read.
template <class F> static inline void line_taps(
    I transposed, char* at, I stride, F* frame, const I* taps, const F* share, I row, I rows, I width) {
  const I count = taps[0], inner = taps[1], size = taps[2], first = row * width, all = rows * width;
  const I* lag = taps + 3;
  for (I k = 0; k < count; ++k, lag += size, share += size) {
    if (size == 1) {
      F* const line = (F*)(at - *lag * stride);
      const F part = *share;
      if (transposed)
        for (I i = 0; i < all; ++i) line[i] += part * frame[i];
      else if (k)
        for (I i = 0; i < all; ++i) frame[i] += part * line[i];
      else
        for (I i = 0; i < all; ++i) frame[i] = part * line[i];  // not added to zero, which has a sign
      continue;
    }
    I entry = first / inner % size, left = inner - first % inner;
    for (I i = 0; i < all; ++i) {
      F* const line = (F*)(at - lag[entry] * stride) + i;
      if (transposed)
        *line += share[entry] * frame[i];
      else
        frame[i] = k ? frame[i] + share[entry] * *line : share[entry] * *line;
      if (--left == 0) {
        left = inner;
        if (++entry == size) entry = 0;
      }
    }
  }
}

// All frames of a line, oldest first, side by side: rows of count * width numbers.
template <class F> static inline void line_window(
    I transposed, char* at, I stride, F* frame, I count, I rows, I width) {
  for (I r = 0; r < rows; ++r)
    for (I k = count - 1; k >= 0; --k, frame += width) {
      F* const line = (F*)(at - k * stride) + r * width;
      if (transposed)
        for (I i = 0; i < width; ++i) line[i] += frame[i];
      else
        bring((char*)frame, (const char*)line, width * (I)sizeof(F));
    }
}
