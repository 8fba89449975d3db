// Recurrent layers: a thread carries some rows of the batch through all steps, each a product with the weights and one
// call of the loop of the cell. After dense.h.
typedef void (*Run)(void* const* tensors, const I* sizes);
enum { STEP_SIZES = 6, WIDEST_STATE = 8 };  // sizes of a loop before its strides; bytes of the widest number

// Rows that a thread carries together: they share the weights in its caches. Whatever the number of threads.
static inline I rows_together(I rows) { return least(rows >= 64 ? 8 : rows >= 8 ? 4 : 1, DENSE_ROWS); }

static inline I chunks(I rows) { return (rows + rows_together(rows) - 1) / rows_together(rows); }

// Numbers from which the gradient of a parameter that all neurons share is summed up: one for each block of them.
static inline I sums_of(I elements, I block) { return (elements + block - 1) / block; }

// The operands of a loop of the cell, one after the other.
struct Operands {
  void** tensors;
  I* sizes;
  I count;
  void start(I steps, I elements, I first) {
    const I given[STEP_SIZES] = {steps, elements, 1, 1, 0, first};
    for (int k = 0; k < STEP_SIZES; ++k) sizes[k] = given[k];
    count = 0;
  }
  void add(const void* tensor) { tensors[count++] = (void*)tensor; }
  void add_all(char* const* from, I number) {
    for (I k = 0; k < number; ++k) add(from[k]);
  }
};

static inline Operands operands(I tensors, I sizes) {
  return {allocate<void*>(tensors), allocate<I>(STEP_SIZES + sizes), 0};
}

static inline void copy(I* to, const I* from, I count) {
  for (I k = 0; k < count; ++k) to[k] = from[k];
}

// tensors: drive, columns, before, inputs (null if not kept), y, states (where the last ones will be), checkpoints,
// parameters. sizes: T, rows, width, every, threads, time stride of the drive, how many states, checkpoints and
// parameters, bytes of each state, the state of each checkpoint, (inner, size) of each parameter.
template <class F> static void recurrent_forward(Run run, char* const* t, const I* s, double most_active) {
  const I T = s[0], rows = s[1], width = s[2], every = s[3], threads = s[4], drive_stride = s[5];
  const I states = s[6], kept = s[7], parameters = s[8], all = rows * width;
  const I *bytes = s + 9, *number = bytes + states, *layout = number + kept;
  const I together = rows_together(rows);
  const F *drive = (const F*)t[0], *columns = (const F*)t[1], *before = (const F*)t[2];
  F *inputs = (F*)t[3], *y = (F*)t[4];
  char *const *state = t + 5, *const *checkpoint = state + states;
  char* const* parameter = checkpoint + kept;
  if (inputs) large_pages(inputs, T * all * (I)sizeof(F));
  large_pages(y, T * all * (I)sizeof(F));
#pragma omp parallel num_threads(threads)
  {
    int32_t* const place = allocate<int32_t>(together * width);
    F *const value = allocate<F>(together * width), *const own = allocate<F>(together * width);
    Operands step = operands(2 + 3 * states + parameters, 1 + 2 * parameters);
    step.sizes[STEP_SIZES] = all;
    copy(step.sizes + STEP_SIZES + 1, layout, 2 * parameters);
#pragma omp for schedule(dynamic)
    for (I row = 0; row < rows; row += together) {
      const I count = least(together, rows - row), first = row * width, elements = count * width;
      step.start(1, elements, first);
      step.add(0);
      for (I k = 0; k < states; ++k) step.add(state[k] + first * bytes[k]);
      step.add_all(parameter, parameters);
      const I output = step.count;
      step.add(0);
      for (I k = 0; k < states; ++k) step.add(state[k] + first * bytes[k]);
      for (I k = 0; k < states; ++k) step.add(0);
      for (I now = 0; now < T; ++now) {
        if (now && now % every == 0)
          for (I k = 0; k < kept; ++k) {
            const I size = bytes[number[k]];
            __builtin_memcpy(checkpoint[k] + ((now / every - 1) * all + first) * size, state[number[k]] + first * size,
                             (__SIZE_TYPE__)(elements * size));
          }
        F* const to = y + now * all + first;
        F* const frame = inputs ? inputs + now * all + first : own;
        few_or_dense(now ? to - all : before + first, count, width, columns, width, drive + now * drive_stride + first,
                     frame, most_active, place, value);
        step.tensors[0] = frame;
        step.tensors[output] = to;
        run(step.tensors, step.sizes);
      }
    }
    free(place);
    free(value);
    free(own);
    free(step.tensors);
    free(step.sizes);
  }
}

static inline void add_to(char* total, const char* part, I count, I bytes) {
  if (bytes == sizeof(float))
    for (I j = 0; j < count; ++j) ((float*)total)[j] += ((const float*)part)[j];
  else
    for (I j = 0; j < count; ++j) ((double*)total)[j] += ((const double*)part)[j];
}

// tensors: gradient of y (or null), weight, gradient of the drive, gradient of the first feedback; what the cell has read;
// gradients of the states that carry one (of the last states at first, of the first ones in the end); first states
// and checkpoints of the states that are replayed; parameters of the forward, then of the backward loop; sums of the
// gradients of parameters, zero at first. sizes: T, rows, width, every, threads, time stride of the gradient of y, block,
// whether the loop reads the gradient of y, whether it reads the input, how many states, replayed, carried, parameters
// forward and backward, layouts backward, sums; then bytes of each state, the numbers of those replayed and carried,
// (inner, size) of the parameters forward and of the layouts, and for each sum whether one number serves all neurons,
// and its bytes.
template <class F> static void recurrent_backward(Run replay, Run run, char* const* t, const I* s) {
  const I T = s[0], rows = s[1], width = s[2], every = s[3], threads = s[4], gradient_stride = s[5], block = s[6];
  const I reads_gradient = s[7], reads = s[8], states = s[9], replayed = s[10], carried = s[11];
  const I forward = s[12], backward = s[13], layouts = s[14], sums = s[15];
  const I *bytes = s + 16, *number = bytes + states;
  const I *carrier = number + replayed, *layout = carrier + carried;
  const I *own_layout = layout + 2 * forward, *shared = own_layout + 2 * layouts, *sum_bytes = shared + sums;
  const F *y_gradient = (const F*)t[0], *weight = (const F*)t[1];
  F *drive_gradient = (F*)t[2], *before_gradient = (F*)t[3];
  const F* const input = (const F*)t[4];
  char *const *carry = t + 5, *const *start = carry + carried;
  char *const *checkpoint = start + replayed;
  char *const *parameter = checkpoint + replayed, *const *own_parameter = parameter + forward;
  char *const *total = own_parameter + backward;
  const I all = rows * width, together = rows_together(rows), most_elements = together * width;
  const I blocks = sums_of(most_elements, block);
  large_pages(drive_gradient, T * all * (I)sizeof(F));
#pragma omp parallel num_threads(threads)
  {
    F *const feedback = allocate<F>(most_elements), *const arriving = allocate<F>(most_elements);
    F* const unread = allocate<F>(every * most_elements);
    char* const idle = allocate<char>(2 * WIDEST_STATE * most_elements);  // states that nothing depends on
    char* const memory = allocate<char>(WIDEST_STATE * most_elements * (replayed * every + sums));
    char *const history = memory, *const parts = memory + WIDEST_STATE * most_elements * replayed * every;
    __builtin_memset(idle, 0, (__SIZE_TYPE__)(WIDEST_STATE * most_elements));
    char** const from = allocate<char*>(replayed);
    Operands again = operands(2 + 3 * states + forward, 1 + 2 * forward);
    Operands step = operands(2 + reads + 2 * replayed + backward + 2 * carried + sums, 1 + reads + 2 * layouts);
    again.sizes[STEP_SIZES] = all;
    copy(again.sizes + STEP_SIZES + 1, layout, 2 * forward);
    for (I k = 0; k < reads + reads_gradient; ++k) step.sizes[STEP_SIZES + k] = all;
    copy(step.sizes + STEP_SIZES + reads + reads_gradient, own_layout, 2 * layouts);
#pragma omp for schedule(dynamic)
    for (I chunk = 0; chunk < chunks(rows); ++chunk) {
      const I row = chunk * together, count = least(together, rows - row), first = row * width;
      const I elements = count * width, stretch = WIDEST_STATE * most_elements;
      for (I j = 0; j < elements; ++j) feedback[j] = 0;
      for (I begin = (T - 1) / every * every; begin >= 0; begin -= every) {
        const I steps = least(every, T - begin);
        for (I k = 0; k < replayed; ++k) {
          const I size = bytes[number[k]];
          from[k] = begin ? checkpoint[k] + ((begin / every - 1) * all + first) * size : start[k] + first * size;
        }
        if (replayed && steps > 1) {
          again.start(steps - 1, elements, first);
          again.add(input + begin * all + first);
          const I state = again.count;
          for (I k = 0; k < states; ++k) again.add(idle);
          again.add_all(parameter, forward);
          again.add(unread);
          const I last = again.count, kept = last + states;
          for (I k = 0; k < states; ++k) again.add(idle + stretch);
          for (I k = 0; k < states; ++k) again.add(0);
          for (I k = 0; k < replayed; ++k) {
            char* const own = history + k * every * stretch;
            again.tensors[state + number[k]] = from[k];
            again.tensors[last + number[k]] = own + (steps - 2) * elements * bytes[number[k]];
            again.tensors[kept + number[k]] = own;
          }
          replay(again.tensors, again.sizes);
        }
        for (I now = begin + steps - 1; now >= begin; --now) {
          const F* const given = y_gradient + now * gradient_stride + first;
          for (I j = 0; j < elements; ++j) arriving[j] = y_gradient ? given[j] + feedback[j] : feedback[j];
          step.start(1, elements, first);
          if (reads) step.add(input + now * all + first);
          for (int twice = 0; twice < 2; ++twice)
            for (I k = 0; k < replayed; ++k)
              step.add(now == begin ? from[k]
                                    : history + k * every * stretch + (now - begin - 1) * elements * bytes[number[k]]);
          step.add_all(own_parameter, backward);
          if (reads_gradient) step.add(arriving);
          for (int twice = 0; twice < 2; ++twice)
            for (I k = 0; k < carried; ++k) step.add(carry[k] + first * bytes[carrier[k]]);
          F* const to = drive_gradient + now * all + first;
          step.add(to);
          for (I k = 0; k < sums; ++k) step.add(parts + k * stretch);
          run(step.tensors, step.sizes);
          for (I k = 0; k < sums; ++k)
            add_to(total[k] + (shared[k] ? chunk * blocks : first) * sum_bytes[k], parts + k * stretch,
                   shared[k] ? sums_of(elements, block) : elements, sum_bytes[k]);
          dense(to, count, width, weight, width, (const F*)0, feedback);
        }
      }
      for (I j = 0; j < elements; ++j) before_gradient[first + j] = feedback[j];
    }
    free(feedback);
    free(arriving);
    free(unread);
    free(idle);
    free(memory);
    free(from);
    free(again.tensors);
    free(again.sizes);
    free(step.tensors);
    free(step.sizes);
  }
}

extern "C" int shared_sums(int rows, int width, int block) {
  return (int)(chunks(rows) * sums_of(rows_together(rows) * width, block));
}
extern "C" void recurrent_forward(Run run, char* const* t, const I* s, double most_active) {
  recurrent_forward<NUMBER>(run, t, s, most_active);
}
extern "C" void recurrent_backward(Run replay, Run run, char* const* t, const I* s) {
  recurrent_backward<NUMBER>(replay, run, t, s);
}
