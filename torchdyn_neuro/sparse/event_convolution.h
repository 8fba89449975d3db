// Convolutions of images that are mostly zero: an active entry reads one row of the weights for each output it reaches.
// Weights are [kernel height, kernel width, channels, outputs], results and their gradients channels last. After gather.h.
enum { SCRATCH_BYTES = 1 << 19, PARTIAL_BYTES = 1 << 23, GROUPS = 16, ITEMS = 64 };

struct Axis {
  I size, out, kernel, stride, padding, dilation;
  I origin(I o) const { return o * stride - padding; }  // of the window of an output
  I begin(I o) const { return most(0, origin(o)); }     // what outputs from o on see of the image
  I end(I o) const { return least(size, origin(o - 1) + (kernel - 1) * dilation + 1); }
  I reach() const { return (kernel - 1) * dilation / stride; }
};

struct Convolution {
  I images, channels, outputs;
  Axis y, x;
  I channels_last;  // of the input; else channel by channel
};

// The entries that are not zero among some channels of some rows of an image.
template <class F> struct Patch {
  const F* image;
  I begin, end, first_channel, channels;
};

// Calls entry(pixel, channel, value), both counted from the first of the patch, in an order that is the same for all
// entries of a pixel or of a channel in both layouts.
template <class F, class E> static inline void each_active(const Convolution& c, const Patch<F>& patch, E entry) {
  const I pixels = (patch.end - patch.begin) * c.x.size, start = patch.begin * c.x.size;
  if (c.channels_last)
    for (I p = 0; p < pixels; ++p)
      scan(patch.image + (start + p) * c.channels + patch.first_channel, patch.channels, [&](I k, F v) { entry(p, k, v); });
  else
    for (I k = 0; k < patch.channels; ++k)
      scan(patch.image + (patch.first_channel + k) * c.y.size * c.x.size + start, pixels, [&](I p, F v) { entry(p, k, v); });
}

// Lists of places and values, one after the other; list k runs from first[k] to first[k + 1].
template <class F> struct Lists {
  I* first;
  int32_t* place;
  F* value;
  Lists(I keys, I entries) : first(allocate<I>(keys + 1)), place(allocate<int32_t>(entries)), value(allocate<F>(entries)) {}
  ~Lists() { free(first), free(place), free(value); }

  // Sorts the active entries of a patch into their lists; whether all of them are finite.
  template <class K, class P> bool fill(const Convolution& c, const Patch<F>& patch, I keys, K key, P place_of) {
    for (I k = 0; k < keys + 2; ++k) first[k] = 0;
    each_active(c, patch, [&](I p, I k, F) { ++first[key(p, k) + 2]; });
    for (I k = 2; k < keys + 2; ++k) first[k] += first[k - 1];
    bool finite = true;
    each_active(c, patch, [&](I p, I k, F v) {
      const I at = first[key(p, k) + 1]++;
      place[at] = (int32_t)place_of(p, k);
      value[at] = v;
      finite &= v - v == 0;
    });
    return finite;
  }
};

// Whether the input is active enough no more to gain.
template <class F> static bool sparse(const F* x, const Convolution& c, double most_active) {
  const I row = c.channels_last ? c.channels : c.x.size;
  return sparse(x, c.images * c.channels * c.y.size * c.x.size / row, row, most_active);
}

// The outputs of one row, from entries sorted by pixel whose place is pixel * channels + channel.
template <class F> static void output_row(
    const Convolution& c, const Lists<F>& lists, I begin, I end, I oy, const F* weights, const F* bias, F* y) {
  enum { TILE = Vector<F>::TILE };
  const I together = c.x.dilation == 1 ? c.x.kernel : 1;  // taps that see neighbouring pixels: one run of entries
  for (I o = 0; o < c.outputs; o += TILE) {
    const I width = least(TILE, c.outputs - o);
    for (I ky = 0; ky < c.y.kernel; ++ky) {
      const I row = c.y.origin(oy) + ky * c.y.dilation;
      const bool inside = begin <= row && row < end;
      for (I kx = 0; kx < c.x.kernel; kx += together)
        for (I ox = 0; ox < c.x.out; ++ox) {
          const I left = c.x.origin(ox) + kx * c.x.dilation, pixel = (row - begin) * c.x.size;
          const I from = most(left, 0), to = least(left + together, c.x.size);
          const I* const first = lists.first + pixel;
          const I at = inside && from < to ? first[from] : 0, count = inside && from < to ? first[to] - at : 0;
          F* const result = y + ox * c.outputs + o;
          const bool fresh = ky == 0 && kx == 0;
          if (!fresh && !count) continue;
          const F* const rows = weights + ((ky * c.x.kernel + kx) - (pixel + left)) * c.channels * c.outputs + o;
          gather_tile(lists.place + at, lists.value + at, count, rows, c.outputs,
                      fresh ? bias ? bias + o : bias : result, result, width);
        }
    }
  }
}

// y [images, out height, out width, outputs]; false where x is too active to gain. No bias: null.
template <class F> static bool convolve(
    const F* x, const F* weights, const F* bias, F* y, const Convolution& c, double most_active, I threads) {
  if (!sparse(x, c, most_active)) return false;
  large_pages(y, c.images * c.y.out * c.x.out * c.outputs * (I)sizeof(F));
  const I band = least(c.y.out, most(8, c.images * c.y.out / ITEMS)), bands = (c.y.out + band - 1) / band;
  const I most_rows = least(c.y.size, (band - 1) * c.y.stride + (c.y.kernel - 1) * c.y.dilation + 1);
  const I pixels = most_rows * c.x.size;
#pragma omp parallel num_threads(threads)
  {
    Lists<F> lists(pixels, pixels * c.channels);
#pragma omp for schedule(dynamic)
    for (I item = 0; item < c.images * bands; ++item) {
      const I image = item / bands, top = item % bands * band, bottom = least(top + band, c.y.out);
      const I begin = c.y.begin(top), end = most(begin, c.y.end(bottom));
      const Patch<F> patch{x + image * c.channels * c.y.size * c.x.size, begin, end, 0, c.channels};
      lists.fill(c, patch, (end - begin) * c.x.size, [](I p, I) { return p; }, [&](I p, I k) { return p * c.channels + k; });
      for (I oy = top; oy < bottom; ++oy)
        output_row(c, lists, begin, end, oy, weights, bias, y + (image * c.y.out + oy) * c.x.out * c.outputs);
    }
  }
  return true;
}

// The gradient of some rows of an image's outputs inside a border of zeros, at the places where windows look for it.
// Entries of the input differ in their phase, the remainder of their (padded) position by the stride: a tap of the
// kernel sees one phase, and finds the outputs of all its entries at one distance from them.
template <class F> struct Field {
  const Convolution& c;
  I top, bottom, first_row, first_column, rows, columns;
  F* data;
  int32_t* place;  // of each pixel of the patch
  int32_t* phase;

  static I most_columns(const Convolution& c) { return (c.x.size - 1 + c.x.padding) / c.x.stride + 1 + c.x.reach(); }
  static I most_rows(const Convolution& c, I band) { return band + 2 * c.y.reach() + 2; }

  I shift(I ky, I kx) const {
    return (ky * c.y.dilation / c.y.stride) * columns + kx * c.x.dilation / c.x.stride;
  }
  I phase_of(I ky, I kx) const {
    return ky * c.y.dilation % c.y.stride * c.x.stride + kx * c.x.dilation % c.x.stride;
  }
  bool inside(I at) const {
    const I row = at / columns + first_row, column = at % columns + first_column;
    return top <= row && row < bottom && 0 <= column && column < c.x.out;
  }

  // Copies the gradient of the outputs from row top to row bottom; tells where the pixels of the patch look for it.
  void fill(const F* gradient, I top, I bottom, I begin, I end) {
    this->top = top, this->bottom = bottom;
    const I above = (begin + c.y.padding) / c.y.stride, before = c.x.padding / c.x.stride;
    first_row = above - c.y.reach(), first_column = before - c.x.reach();
    rows = (end - 1 + c.y.padding) / c.y.stride - first_row + 1;
    columns = (c.x.size - 1 + c.x.padding) / c.x.stride - first_column + 1;
    const I left = most(0, least(columns, -first_column)), right = most(left, least(columns, c.x.out - first_column));
    for (I r = 0; r < rows; ++r) {
      F* const row = data + r * columns * c.outputs;
      const I oy = r + first_row;
      const bool given = top <= oy && oy < bottom;
      const I from = given ? left : 0, to = given ? right : 0;
      __builtin_memset(row, 0, from * c.outputs * sizeof(F));
      __builtin_memset(row + to * c.outputs, 0, (columns - to) * c.outputs * sizeof(F));
      if (to > from)
        __builtin_memcpy(row + from * c.outputs, gradient + (oy * c.x.out + from + first_column) * c.outputs,
                         (to - from) * c.outputs * sizeof(F));
    }
    for (I iy = begin, p = 0; iy < end; ++iy)
      for (I ix = 0; ix < c.x.size; ++ix, ++p) {
        const I y = iy + c.y.padding, x = ix + c.x.padding;
        place[p] = (int32_t)((y / c.y.stride - first_row) * columns + x / c.x.stride - first_column);
        phase[p] = (int32_t)(y % c.y.stride * c.x.stride + x % c.x.stride);
      }
  }
};

// Adds to the weights' gradient of the channels of a patch what its entries and the field bring together.
template <class F> static void add_products(
    const Field<F>& field, const Lists<F>& lists, Lists<F>& kept, bool finite, const Patch<F>& patch, F* to) {
  enum { TILE = Vector<F>::TILE };
  const Convolution& c = field.c;
  for (I k = 0; k < patch.channels; ++k)
    for (I ky = 0; ky < c.y.kernel; ++ky)
      for (I kx = 0; kx < c.x.kernel; ++kx) {
        const I list = k * c.y.stride * c.x.stride + field.phase_of(ky, kx), shift = field.shift(ky, kx);
        const int32_t* place = lists.place + lists.first[list];
        const F* value = lists.value + lists.first[list];
        I count = lists.first[list + 1] - lists.first[list];
        if (!finite) {  // infinity times the zeros of the border is no zero
          I n = 0;
          for (I e = 0; e < count; ++e)
            if (field.inside(place[e] - shift)) kept.place[n] = place[e], kept.value[n++] = value[e];
          place = kept.place, value = kept.value, count = n;
        }
        if (!count) continue;
        F* const sum = to + ((ky * c.x.kernel + kx) * c.channels + patch.first_channel + k) * c.outputs;
        for (I o = 0; o < c.outputs; o += TILE)
          gather_tile(place, value, count, field.data - shift * c.outputs + o, c.outputs, sum + o, sum + o,
                      least(TILE, c.outputs - o));
      }
}

// weights [kernel height, kernel width, channels, outputs], the gradient; false where x is too active to gain. Sums run
// over groups of images whose number depends on the shapes alone.
template <class F> static bool convolve_weights(
    const F* x, const F* gradient, F* weights, const Convolution& c, double most_active, I threads) {
  if (!sparse(x, c, most_active)) return false;
  const I size = c.y.kernel * c.x.kernel * c.channels * c.outputs, phases = c.y.stride * c.x.stride;
  const I groups = most(1, least(least(c.images, GROUPS), PARTIAL_BYTES / (size * (I)sizeof(F))));
  const I blocks = least(c.channels, (ITEMS / 2 + groups - 1) / groups), block = (c.channels + blocks - 1) / blocks;
  const I columns = Field<F>::most_columns(c);
  const I room = SCRATCH_BYTES / (columns * c.outputs * (I)sizeof(F)) - 2 * c.y.reach() - 2;
  const I band = least(c.y.out, most(room, 2 * c.y.kernel * c.y.dilation)), field_rows = Field<F>::most_rows(c, band);
  const I seen = least(c.y.size, (band - 1) * c.y.stride + (c.y.kernel - 1) * c.y.dilation + 1) * c.x.size;
  F* const partial = groups > 1 ? allocate<F>(groups * size) : weights;
#pragma omp parallel num_threads(threads)
  {
    Lists<F> lists(block * phases, seen * block), kept(0, seen);
    Field<F> field{c};
    field.data = allocate<F>(field_rows * columns * c.outputs);
    field.place = allocate<int32_t>(seen);
    field.phase = allocate<int32_t>(seen);
#pragma omp for schedule(dynamic)
    for (I item = 0; item < groups * blocks; ++item) {
      const I group = item / blocks, first = least(c.channels, item % blocks * block);
      const I channels = least(block, c.channels - first);
      F* const to = partial + group * size;
      for (I tap = 0; tap < c.y.kernel * c.x.kernel; ++tap)
        __builtin_memset(to + (tap * c.channels + first) * c.outputs, 0, channels * c.outputs * sizeof(F));
      for (I image = group * c.images / groups; image < (group + 1) * c.images / groups; ++image)
        for (I top = 0; top < c.y.out; top += band) {
          const I bottom = least(top + band, c.y.out), begin = c.y.begin(top), end = c.y.end(bottom);
          if (begin >= end) continue;
          const Patch<F> patch{x + image * c.channels * c.y.size * c.x.size, begin, end, first, channels};
          field.fill(gradient + image * c.y.out * c.x.out * c.outputs, top, bottom, begin, end);
          const bool finite = lists.fill(
              c, patch, channels * phases, [&](I p, I k) { return k * phases + field.phase[p]; },
              [&](I p, I) { return field.place[p]; });
          add_products(field, lists, kept, finite, patch, to);
        }
    }
    if (groups > 1)
#pragma omp for
      for (I j = 0; j < size; ++j) {
        F sum = partial[j];
        for (I g = 1; g < groups; ++g) sum += partial[g * size + j];
        weights[j] = sum;
      }
    free(field.data), free(field.place), free(field.phase);
  }
  if (groups > 1) free(partial);
  return true;
}

// sizes: those of a Convolution, threads. tensors of the convolution: x, weights, bias (or null), y; of the gradient of
// the weights: x, gradient, weights. Both answer whether they ran.
extern "C" int convolution(void* const* t, const I* s, double most_active) {
  return convolve((const NUMBER*)t[0], (const NUMBER*)t[1], (const NUMBER*)t[2], (NUMBER*)t[3], *(const Convolution*)s, most_active, s[16]);
}
extern "C" int convolution_weights(void* const* t, const I* s, double most_active) {
  return convolve_weights((const NUMBER*)t[0], (const NUMBER*)t[1], (NUMBER*)t[2], *(const Convolution*)s, most_active, s[16]);
}
