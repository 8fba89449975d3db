// Where FROZEN is defined weights are whole numbers of 16 bits, times one scale, and what they bring is summed up in whole
// numbers.
#ifdef FROZEN
typedef int16_t Weight;
typedef int32_t Sum;
#else
typedef NUMBER Weight, Sum;
#endif

// Projections whose synapses change with activity, each with rows of its own, laid out as in pack.h. After pack.h,
// waiting.h; NUMBER is the type of all inputs.
//
// A presynaptic neuron that releases less or more has one state, moved on where it spikes; what it releases is the
// factor of its rows. Weights that learn change at the end of a step, in the order of the dense step: all read the weight
// before it and traces that count earlier spikes. The trace of what came in is that of a chunk, whose synapses have one
// source and one delay; it and its last step lie at the header, in the array of weights.
enum { GROUP_WORDS = 8, GROUP_TENSORS = 13, FADES = 4096 };
enum { OF_U, RATE_F, RATE_D, REST, AT_POST, AT_PRE, ALWAYS, MU_PLUS, MU_MINUS, W_MIN, W_MAX, RATE_PRE, FADE_POST, GROUP_NUMBERS };

struct Group {
  I source, target, receptor, first, neurons;  // of the source: the number of its first neuron, its neurons
  bool releases, constant, nearest;            // constant: a spike uses up a constant share of resources
  const uint16_t* places;
  NUMBER* weights;
  const uint64_t* offsets;  // [owners, neurons of all]
  NUMBER *u, *R, *trace;    // of each source after its last spike of those no longer in the list of recent ones
  int32_t* last;            // the step of that spike
  NUMBER* post;             // traces of targets
  const I* begin;           // of the synapses that lead to a target
  const int32_t* at;        // their places
  const uint16_t* back;     // from there to the header
  const double* number;
  const NUMBER* fade;       // of the trace of a chunk in so many steps
  NUMBER *now_u, *now_R, *amount[2];
  int32_t* now_last;
  uint8_t* fired;  // targets of this step

  bool holds(I neuron) const { return neuron >= first && neuron < first + neurons; }
  // What a spike releases, and the state after it.
  NUMBER release(NUMBER& u, NUMBER& R, int32_t& last, I t) const {
    const double gap = (double)(t - last), U = number[OF_U], rest = number[REST];
    double share = U, there = 1;
    if (number[RATE_F] > 0) {
      share = rest + (u - rest) * __builtin_exp(-gap * number[RATE_F]);
      u = (NUMBER)(share += U * (1 - share));
    }
    if (number[RATE_D] > 0) {
      there = 1 - (1 - R) * __builtin_exp(-gap * number[RATE_D]);
      R = (NUMBER)(there - (constant ? U : share) * there);
    }
    last = (int32_t)t;
    return (NUMBER)(share * there);
  }
  NUMBER faded(NUMBER trace, I gap) const {
    if (!trace) return 0;
    return trace * (gap < FADES ? fade[gap] : (NUMBER)__builtin_exp(-(double)gap * number[RATE_PRE]));
  }
  NUMBER counted(NUMBER trace) const { return nearest ? 1 : trace + 1; }
  int32_t step_of(I header) const {
    int32_t step;
    __builtin_memcpy(&step, weights + header + 1, sizeof step);
    return step;
  }
  void keep(I header, NUMBER trace, I t) const {
    const int32_t step = (int32_t)t;
    weights[header] = trace;
    __builtin_memcpy(weights + header + 1, &step, sizeof step);
  }
  static double power(double distance, double mu) {
    if (mu == 0) return 1;
    return distance <= 0 ? 0 : mu == 1 ? distance : __builtin_pow(distance, mu);
  }
  // A weight after a step: what the spikes behind and before it ask for.
  void move(NUMBER& weight, double post, double pre) const {
    double w = weight;
    const double up = post ? post * power(number[W_MAX] - w, number[MU_PLUS]) : 0;
    const double down = pre ? pre * power(w - number[W_MIN], number[MU_MINUS]) : 0;
    w += up + down;
    weight = (NUMBER)(w < number[W_MIN] ? number[W_MIN] : w > number[W_MAX] ? number[W_MAX] : w);
  }
};

struct Late {
  uint64_t row;
  NUMBER amount;
  int32_t group;
};
struct Came { I header, group; };
// What one owner keeps.
struct Waiting {
  Growing<Late>* late;  // of each of the last steps
  I* counts;
  Growing<Came> came;  // chunks of this step whose weights learn
  I arrivals;
};

struct Changing {
  I count, longest, all, owners, recents;
  const int32_t* recent;
  NUMBER* amounts;  // of each recent spike and group
  Group* group;
  Waiting* waiting;

  // Reads words and tensors behind those of a run.
  void open(const I* word, void* const* tensor, I owners_, I longest_, I all_, const int32_t* recent_, I recents_) {
    count = *word++, longest = longest_, all = all_, owners = owners_, recent = recent_, recents = recents_;
    if (!count) return;
    group = (Group*)memory_of(count * (I)sizeof(Group));
    amounts = (NUMBER*)memory_of((recents * count + 1) * (I)sizeof(NUMBER));
    for (I n = 0; n < count; ++n, word += GROUP_WORDS, tensor += GROUP_TENSORS) {
      Group g = {word[0], word[1], word[2], word[3], word[4], (word[5] & 1) > 0, (word[5] & 2) > 0, (word[5] & 4) > 0};
      g.places = (const uint16_t*)tensor[0], g.weights = (NUMBER*)tensor[1], g.offsets = (const uint64_t*)tensor[2];
      g.u = (NUMBER*)tensor[3], g.R = (NUMBER*)tensor[4], g.trace = (NUMBER*)tensor[5];
      g.last = (int32_t*)tensor[6], g.post = (NUMBER*)tensor[7], g.begin = (const I*)tensor[8];
      g.at = (const int32_t*)tensor[9], g.back = (const uint16_t*)tensor[10], g.number = (const double*)tensor[11];
      g.fade = (const NUMBER*)tensor[12];
      const I bytes = g.neurons * (I)sizeof(NUMBER);
      NUMBER** const own[] = {&g.now_u, &g.now_R, &g.amount[0], &g.amount[1]};
      for (NUMBER** const to : own) *to = (NUMBER*)memory_of(bytes + 1);
      g.now_last = (int32_t*)memory_of(g.neurons * 4 + 1);
      g.fired = (uint8_t*)memory_of(word[6] + 1);
      for (I k = 0; k < word[6]; ++k) g.fired[k] = 0;
      for (I k = 0; g.releases && k < g.neurons; ++k)
        g.now_u[k] = g.u[k], g.now_R[k] = g.R[k], g.now_last[k] = g.last[k];
      for (I k = 0; g.releases && k < recents; ++k) {
        const I neuron = recent[2 * k + 1] - g.first;
        if (g.holds(recent[2 * k + 1]))
          amounts[k * count + n] = g.release(g.now_u[neuron], g.now_R[neuron], g.now_last[neuron], recent[2 * k]);
      }
      group[n] = g;
    }
    waiting = (Waiting*)memory_of(owners * (I)sizeof(Waiting));
    for (I o = 0; o < owners; ++o) {
      waiting[o] = {};
      waiting[o].late = (Growing<Late>*)memory_of(longest * (I)sizeof(Growing<Late>));
      waiting[o].counts = (I*)memory_of(longest * (I)sizeof(I));
      for (I d = 0; d < longest; ++d) waiting[o].late[d] = {}, waiting[o].counts[d] = 0;
    }
  }
  // A spike is now the last of those that are over.
  void pass(Group& g, I neuron, I t) {
    if (!g.holds(neuron)) return;
    neuron -= g.first;
    if (g.releases) {
      g.release(g.u[neuron], g.R[neuron], g.last[neuron], t);
    } else {
      g.trace[neuron] = g.counted(g.faded(g.trace[neuron], t - g.last[neuron]));
      g.last[neuron] = (int32_t)t;
    }
  }
  void pass(const int32_t* spikes, I number, I before) {
    for (I n = 0; n < count; ++n)
      for (I k = 0; k < number && spikes[2 * k] < before; ++k) pass(group[n], spikes[2 * k + 1], spikes[2 * k]);
  }
  void close() {
    if (!count) return;
    for (I n = 0; n < count; ++n) {
      const Group& g = group[n];
      free(g.now_u), free(g.now_R), free(g.amount[0]), free(g.amount[1]), free(g.now_last), free(g.fired);
    }
    for (I o = 0; o < owners; ++o) {
      for (I d = 0; d < longest; ++d) free(waiting[o].late[d].at);
      free(waiting[o].late), free(waiting[o].counts), free(waiting[o].came.at);
    }
    free(group), free(waiting), free(amounts);
  }
  void wait_for(Waiting& own, uint64_t row, NUMBER amount, I n, I step) {
    const I slot = step % longest;
    own.late[slot].need(own.counts[slot] + 1);
    own.late[slot].at[own.counts[slot]++] = {row, amount, (int32_t)n};
  }
  static uint64_t after(const Group& g, uint64_t row) {
    const I at = (I)(row & PLACE_OF_ROW);
    const uint64_t next = g.places[at + 1];
    return next ? (uint64_t)(at + HEADER + g.places[at]) | next << DELAY_AT : NO_ROW;
  }
  // Before the first step of a call: traces of chunks, and spikes that have not arrived everywhere.
  void start(I o, I t) {
    for (I n = 0; n < count; ++n) {
      Group& g = group[n];
      for (I s = 0; !g.releases && s < g.neurons; ++s)
        for (uint64_t row = g.offsets[o * all + g.first + s]; row != NO_ROW; row = after(g, row))
          g.keep((I)(row & PLACE_OF_ROW), g.trace[s], g.last[s] + (I)(row >> DELAY_AT));
    }
    for (I k = 0; k < recents; ++k)
      for (I n = 0; n < count; ++n) {
        const I step = recent[2 * k], neuron = recent[2 * k + 1];
        Group& g = group[n];
        if (!g.holds(neuron)) continue;
        uint64_t row = g.offsets[o * all + neuron];
        for (; row != NO_ROW && step + (I)(row >> DELAY_AT) < t; row = after(g, row)) {
          const I header = (I)(row & PLACE_OF_ROW), arrival = step + (I)(row >> DELAY_AT);
          if (!g.releases) g.keep(header, g.counted(g.faded(g.weights[header], arrival - g.step_of(header))), arrival);
        }
        if (row != NO_ROW) wait_for(waiting[o], row, g.releases ? amounts[k * count + n] : 1, n, step);
      }
  }
  void clear(I o, I step) { waiting[o].counts[step % longest] = 0; }
  // A spike of the step before begins to wait.
  void take(I o, I population, I neuron, I step) {
    for (I n = 0; n < count; ++n) {
      const Group& g = group[n];
      if (g.source != population) continue;
      const uint64_t row = g.offsets[o * all + neuron];
      if (row != NO_ROW) wait_for(waiting[o], row, g.releases ? g.amount[step & 1][neuron - g.first] : 1, n, step);
    }
  }
  void release(I population, const int32_t* spikes, I found, I t) {
    for (I n = 0; n < count; ++n) {
      Group& g = group[n];
      if (g.source != population || !g.releases) continue;
      for (I k = 0; k < found; ++k) {
        const I s = spikes[k] - g.first;
        g.amount[t & 1][s] = g.release(g.now_u[s], g.now_R[s], g.now_last[s], t);
      }
    }
  }
  // Returns how many synapses there were.
  I deliver(I o, Sum* sums, I t, const I* delay, I delays) {
    Waiting& own = waiting[o];
    own.arrivals = 0;
    I events = 0;
    for (I k = 0; k < delays; ++k) {
      if (t < delay[k]) continue;
      const I slot = (t - delay[k]) % longest;
      for (I n = 0; n < own.counts[slot]; ++n) {
        Late& late = own.late[slot].at[n];
        if ((I)(late.row >> DELAY_AT) != delay[k]) continue;
        const Group& g = group[late.group];
        const I header = (I)(late.row & PLACE_OF_ROW), many = g.places[header];
        const uint16_t* const place = g.places + header + HEADER;
        const NUMBER* const weight = g.weights + header + HEADER;
        for (I j = 0; j < many; ++j) sums[place[j]] += (Sum)(late.amount * weight[j]);
        events += many;
        if (!g.releases) {
          own.came.need(own.arrivals + 1);
          own.came.at[own.arrivals++] = {header, late.group};
        }
        late.row = after(g, late.row);
      }
    }
    return events;
  }
  // The weights of one group that lead to an owner's targets: those from begin on, whose accumulators begin at a place.
  void learn(I o, I n, I t, I begin, I end, I place, const int32_t* spikes, I found, I first) {
    Group& g = group[n];
    const double* const x = g.number;
    const NUMBER fade = (NUMBER)x[FADE_POST];
    NUMBER* const post = g.post;
    for (I k = begin; k < end; ++k) post[k] = post[k] < (NUMBER)1e-30 ? 0 : post[k] * fade;
    for (I k = 0; k < found; ++k) g.fired[spikes[k] - first] = 1;
    const Waiting& own = waiting[o];
    for (I k = 0; k < own.arrivals; ++k) {
      if (own.came.at[k].group != n) continue;
      const I header = own.came.at[k].header, many = g.places[header];
      const NUMBER trace = g.faded(g.weights[header], t - g.step_of(header));
      for (I j = header + HEADER; j < header + HEADER + many; ++j) {
        const I target = begin + g.places[j] - place;
        g.move(g.weights[j], g.fired[target] ? x[AT_POST] * trace : 0, x[AT_PRE] * post[target] + x[ALWAYS]);
      }
      g.keep(header, g.counted(trace), t);
    }
    for (I k = 0; k < found; ++k) {
      const I target = spikes[k] - first;
      for (I j = g.begin[target]; j < g.begin[target + 1]; ++j) {
        const I header = g.at[j] - g.back[j], step = g.step_of(header);
        // What came in this step was moved above.
        if (step != t || !g.weights[header])
          g.move(g.weights[g.at[j]], x[AT_POST] * g.faded(g.weights[header], t - step), 0);
      }
      post[target] = g.counted(post[target]);
      g.fired[target] = 0;
    }
  }
};
