// Products with the rows of a sparse connection, each of one presynaptic neuron: start [inputs + 1], the places of 16 bits
// or 32, the weights. After memory.h; NUMBER is the type of numbers. Each sum is taken by one thread in the order of the
// rows, so nothing depends on the number of threads.
#define IN_BOTH_WIDTHS(call) (sizes[4] == 2 ? call((const uint16_t*)tensors[1]) : call((const int32_t*)tensors[1]))

// sizes: threads, rows of x, inputs, outputs, bytes of a place.
template <class Place> static void product(const Place* place, void* const* tensors, const I* sizes) {
  const I rows = sizes[1], inputs = sizes[2], outputs = sizes[3];
  const I* const start = (const I*)tensors[0];
  const NUMBER *const weight = (const NUMBER*)tensors[2], *const x = (const NUMBER*)tensors[3];
  NUMBER* const y = (NUMBER*)tensors[4];
#pragma omp parallel for num_threads(sizes[0]) schedule(static)
  for (I r = 0; r < rows; ++r) {
    NUMBER* const to = y + r * outputs;
    for (I i = 0; i < outputs; ++i) to[i] = 0;
    for (I j = 0; j < inputs; ++j) {
      const NUMBER value = x[r * inputs + j];
      if (value == 0) continue;
      for (I k = start[j]; k < start[j + 1]; ++k) to[place[k]] += value * weight[k];
    }
  }
}
// What arrives at the outputs, turned [outputs, rows], times the rows: [inputs, rows].
template <class Place> static void product_back(const Place* place, void* const* tensors, const I* sizes) {
  const I rows = sizes[1], inputs = sizes[2];
  const I* const start = (const I*)tensors[0];
  const NUMBER *const weight = (const NUMBER*)tensors[2], *const gradient = (const NUMBER*)tensors[3];
  NUMBER* const to = (NUMBER*)tensors[4];
#pragma omp parallel for num_threads(sizes[0]) schedule(static)
  for (I j = 0; j < inputs; ++j) {
    NUMBER* __restrict const sum = to + j * rows;
    for (I r = 0; r < rows; ++r) sum[r] = 0;
    for (I k = start[j]; k < start[j + 1]; ++k) {
      const NUMBER *const from = gradient + (I)place[k] * rows, value = weight[k];
      for (I r = 0; r < rows; ++r) sum[r] += value * from[r];
    }
  }
}
// The gradient of each weight: the sum over the rows of x, which is turned as the gradient is.
template <class Place> static void product_outer(const Place* place, void* const* tensors, const I* sizes) {
  const I rows = sizes[1], inputs = sizes[2];
  const I* const start = (const I*)tensors[0];
  const NUMBER *const x = (const NUMBER*)tensors[2], *const gradient = (const NUMBER*)tensors[3];
  NUMBER* const to = (NUMBER*)tensors[4];
#pragma omp parallel num_threads(sizes[0])
  {
    int32_t* const active = (int32_t*)memory_of((rows + 1) * (I)sizeof(int32_t));
#pragma omp for schedule(static)
    for (I j = 0; j < inputs; ++j) {
      const NUMBER* const values = x + j * rows;
      I count = 0;
      for (I r = 0; r < rows; ++r) {
        active[count] = (int32_t)r;
        count += values[r] != 0;
      }
      for (I k = start[j]; k < start[j + 1]; ++k) {
        const NUMBER* const from = gradient + (I)place[k] * rows;
        NUMBER sum = 0;
        for (I n = 0; n < count; ++n) sum += values[active[n]] * from[active[n]];
        to[k] = sum;
      }
    }
    free(active);
  }
}
extern "C" {
void row_product(void* const* tensors, const I* sizes) {
#define CALL(place) product(place, tensors, sizes)
  IN_BOTH_WIDTHS(CALL);
#undef CALL
}
void row_product_back(void* const* tensors, const I* sizes) {
#define CALL(place) product_back(place, tensors, sizes)
  IN_BOTH_WIDTHS(CALL);
#undef CALL
}
void row_product_outer(void* const* tensors, const I* sizes) {
#define CALL(place) product_outer(place, tensors, sizes)
  IN_BOTH_WIDTHS(CALL);
#undef CALL
}
}
