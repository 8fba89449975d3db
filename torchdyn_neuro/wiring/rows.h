// The synapses of one presynaptic neuron, drawn from counters: a row is the same whoever draws it, and when. After
// memory.h, vectors.h, functions.h, random.h.
//
// Candidate c of row s has the four words of the counter (c, s): its place, what its weight and its delay are made of,
// and one that decides whether it is taken.
enum { ROWS = 2, SOURCES = 3, COLUMNS = 4 };             // kinds of counters
enum { CHANCE = 0, DEGREE = 1, LISTED = 2 };             // kinds of rules
enum { PLACES = 4096 };                                  // of a table of quantiles, which has one entry more
enum { RULE_WORDS = 7, RULE_NUMBERS = 3, RULE_TENSORS = 9 };

extern "C" void* realloc(void*, __SIZE_TYPE__) noexcept;
#ifdef _OPENMP
extern "C" int omp_get_thread_num() noexcept;
extern "C" int omp_get_num_threads() noexcept;
static inline I thread_number() { return omp_get_thread_num(); }
static inline I threads_here() { return omp_get_num_threads(); }
#else
static inline I thread_number() { return 0; }
static inline I threads_here() { return 1; }
#endif

// Memory that grows.
template <class T> struct Growing {
  T* at;
  I room;
  void need(I count) {
    if (count <= room) return;
    room = count + count / 2 + 64;
    at = (T*)realloc(at, (__SIZE_TYPE__)room * sizeof(T));
    if (!at) memory_of((I)1 << 62);  // says so
  }
};

struct Rule {
  I kind, pre, post, degree, distinct, apart, profile;  // apart: no neuron reaches itself
  uint32_t stream;
  double chance, width, period;
  const I* start;           // of the listed rows
  const int32_t *place, *degrees;
  const void* weight;       // of listed synapses, in the type of the network
  const int32_t* delay;     // of listed synapses, steps
  const double *weights, *delays;  // quantiles
  const double *from, *to;  // positions of both populations, [neurons, 2]
};
static inline Rule rule_of(const I* words, const double* numbers, void* const* tensors) {
  Rule r = {};
  r.kind = words[0], r.pre = words[1], r.post = words[2], r.degree = words[3], r.distinct = words[4] & 1;
  r.apart = words[4] >> 1 & 1, r.profile = words[5], r.stream = (uint32_t)words[6];
  r.chance = numbers[0], r.width = numbers[1], r.period = numbers[2];
  r.start = (const I*)tensors[0], r.place = (const int32_t*)tensors[1], r.degrees = (const int32_t*)tensors[2];
  r.weight = tensors[3], r.delay = (const int32_t*)tensors[4];
  r.weights = (const double*)tensors[5], r.delays = (const double*)tensors[6];
  r.from = (const double*)tensors[7], r.to = (const double*)tensors[8];
  return r;
}

// The synapses of a row: the place of each, and the words of its weight and delay.
struct Row {
  Growing<int32_t> place;
  Growing<uint32_t> first, second;
  Growing<uint64_t> taken;  // a bit for each place
  I count;
  void need(I room) { place.need(room), first.need(room), second.need(room); }
  void drop() { free(place.at), free(first.at), free(second.at), free(taken.at); }
};

struct Candidates { U word[4]; };
template <int ROUNDS = 10> INLINE Candidates candidates(uint32_t stream, uint32_t kind, I row, I first) {
  L keys[PARTS];
  for (int k = 0; k < PARTS; ++k)
    for (int l = 0; l < WIDTH / 8; ++l) keys[k][l] = first + k * (WIDTH / 8) + l + (row << 32);
  const Words<PARTS> words = philox<PARTS, ROUNDS>(keys, stream, kind);
  Candidates c;
  for (int k = 0; k < 4; ++k) c.word[k] = lower(words.lane[k]);
  return c;
}
// So many words, in an order that does not depend on the width of vectors: those of 16 counters from 16 block on.
enum { AT_ONCE = 64 };
template <int ROUNDS = 10> INLINE void words_of(uint32_t stream, uint32_t kind, I row, I block, uint32_t* to) {
  for (int part = 0; part < 16; part += LANES) {
    const Candidates drawn = candidates<ROUNDS>(stream, kind, row, block * 16 + part);
    for (int k = 0; k < 4; ++k) __builtin_memcpy(to + 16 * k + part, &drawn.word[k], sizeof(U));
  }
}
static inline I scaled(uint32_t word, I range) { return (I)((uint64_t)word * (uint64_t)range >> 32); }

// How likely a synapse is at a distance, relative to the likeliest.
static inline double profile(const Rule& r, I s, I place) {
  double square = 0;
  for (int axis = 0; axis < 2; ++axis) {
    double gap = r.to[2 * place + axis] - r.from[2 * s + axis];
    gap = gap < 0 ? -gap : gap;
    if (r.period > 0 && gap > r.period / 2) gap = r.period - gap;
    square += gap * gap;
  }
  if (r.profile == 1) return __builtin_exp(-square / (2 * r.width * r.width));
  const double distance = __builtin_sqrt(square);
  return r.profile == 2 ? __builtin_exp(-distance / r.width) : distance <= r.width;
}

static inline void draw_row(const Rule& r, I s, Row& row, uint32_t kind = ROWS) {
  row.count = 0;
  if (r.kind == CHANCE) {
    // Geometric gaps between neurons that are drawn.
    if (!(r.chance > 0)) return;
    const double scale = r.chance < 1 ? 1 / log1p(-r.chance) : 0;
    I place = -1;
    for (I c = 0;; c += LANES) {
      const Candidates drawn = candidates(r.stream, kind, s, c);
      row.need(row.count + LANES);
      for (int l = 0; l < LANES; ++l) {
        const double gap = scale * __builtin_log((drawn.word[0][l] + 0.5) * 2.3283064365386963e-10);
        if (gap >= (double)(r.post - place)) return;
        place += 1 + (I)gap;
        if (place >= r.post) return;
        if (r.apart && place == s) continue;
        if (r.profile && (drawn.word[3][l] + 0.5) * 2.3283064365386963e-10 >= profile(r, s, place)) continue;
        row.place.at[row.count] = (int32_t)place;
        row.first.at[row.count] = drawn.word[1][l];
        row.second.at[row.count++] = drawn.word[2][l];
      }
    }
  }
  const I begin = r.kind == LISTED ? r.start[s] : 0;
  const I count = r.kind == LISTED ? r.start[s + 1] - begin : r.degrees ? r.degrees[s] : r.degree;
  row.need(count + LANES);
  if (r.kind == LISTED || !(r.distinct || r.apart)) {
    for (I c = 0; c < count; c += LANES) {
      const Candidates drawn = candidates(r.stream, kind, s, c);
      for (int l = 0; l < LANES; ++l) row.place.at[c + l] = (int32_t)scaled(drawn.word[0][l], r.post);
      __builtin_memcpy(row.first.at + c, &drawn.word[1], sizeof(U));
      __builtin_memcpy(row.second.at + c, &drawn.word[2], sizeof(U));
    }
    if (r.kind == LISTED)
      for (I c = 0; c < count; ++c) row.place.at[c] = r.place[begin + c];
    row.count = count;
    return;
  }
  const I known = row.taken.room;
  if (r.distinct) row.taken.need((r.post + 63) / 64);
  for (I k = known; k < row.taken.room; ++k) row.taken.at[k] = 0;
  for (I c = 0; row.count < count; c += LANES) {
    const Candidates drawn = candidates(r.stream, kind, s, c);
    for (int l = 0; l < LANES && row.count < count; ++l) {
      const I place = scaled(drawn.word[0][l], r.post);
      if (r.apart && place == s) continue;
      if (r.distinct) {
        const uint64_t bit = (uint64_t)1 << (place & 63);
        if (row.taken.at[place >> 6] & bit) continue;
        row.taken.at[place >> 6] |= bit;
      }
      row.place.at[row.count] = (int32_t)place;
      row.first.at[row.count] = drawn.word[1][l];
      row.second.at[row.count++] = drawn.word[2][l];
    }
  }
  if (r.distinct)
    for (I k = 0; k < count; ++k) row.taken.at[row.place.at[k] >> 6] = 0;
}

// What a word stands for in a table of quantiles.
static inline double quantile(const double* table, uint32_t word) {
  const double* const at = table + (word >> 20);
  return at[0] + (word & 0xfffff) * (1.0 / (1 << 20)) * (at[1] - at[0]);
}
static inline bool alike(const double* table) { return table[0] == table[PLACES]; }
// Of synapse k of row s.
template <class N> static inline N weight_of(const Rule& r, I s, const Row& row, I k) {
  if (r.weight) return ((const N*)r.weight)[r.start[s] + k];
  return (N)(alike(r.weights) ? r.weights[0] : quantile(r.weights, row.first.at[k]));
}
static inline I delay_of(const Rule& r, I s, const Row& row, I k) {
  if (r.delay) return r.delay[r.start[s] + k];
  const double steps = quantile(r.delays, row.second.at[k]) + 0.5;
  return steps < 1 ? 1 : (I)steps;
}
