// Whole connections from rules, on all threads; what is drawn does not depend on their number. After rows.h; NUMBER is the
// type of the weights.
extern "C" {
// How many synapses each row has. sizes: threads, words of the rule.
void count_rows(void* const* tensors, const I* sizes, const double* numbers) {
  const Rule rule = rule_of(sizes + 1, numbers, tensors);
  I* const counts = (I*)tensors[RULE_TENSORS];
#pragma omp parallel num_threads(sizes[0])
  {
    Row row = {};
#pragma omp for schedule(dynamic, 64)
    for (I s = 0; s < rule.pre; ++s) {
      if (rule.kind == DEGREE) {
        counts[s] = rule.degrees ? rule.degrees[s] : rule.degree;
        continue;
      }
      draw_row(rule, s, row);
      counts[s] = row.count;
    }
    row.drop();
  }
}

// The places, weights and delays of all rows, where each begins. Behind the rule: start, places (of 16 bits or 32),
// weights, delays (null if not wanted). sizes: threads, words of the rule, bytes of a place.
void fill_rows(void* const* tensors, const I* sizes, const double* numbers) {
  const Rule rule = rule_of(sizes + 1, numbers, tensors);
  const I bytes = sizes[1 + RULE_WORDS];
  const I* const start = (const I*)tensors[RULE_TENSORS];
  void* const places = tensors[RULE_TENSORS + 1];
  NUMBER* const weights = (NUMBER*)tensors[RULE_TENSORS + 2];
  int32_t* const delays = (int32_t*)tensors[RULE_TENSORS + 3];
  large_pages(places, start[rule.pre] * bytes);
  large_pages(weights, start[rule.pre] * (I)sizeof(NUMBER));
#pragma omp parallel num_threads(sizes[0])
  {
    Row row = {};
#pragma omp for schedule(dynamic, 64)
    for (I s = 0; s < rule.pre; ++s) {
      draw_row(rule, s, row);
      const I at = start[s];
      for (I k = 0; k < row.count; ++k) {
        if (bytes == 2)
          ((uint16_t*)places)[at + k] = (uint16_t)row.place.at[k];
        else
          ((int32_t*)places)[at + k] = row.place.at[k];
        weights[at + k] = weight_of<NUMBER>(rule, s, row, k);
        if (delays) delays[at + k] = (int32_t)delay_of(rule, s, row, k);
      }
    }
    row.drop();
  }
}

// So many draws among the rows: how often each was drawn. sizes: threads, rows, draws, stream.
void share_out(void* const* tensors, const I* sizes) {
  int32_t* const counts = (int32_t*)tensors[0];
  const I rows = sizes[1], draws = sizes[2];
  const uint32_t stream = (uint32_t)sizes[3];
#pragma omp parallel num_threads(sizes[0])
  {
    int32_t* const own = (int32_t*)memory_of(rows * (I)sizeof(int32_t));
    for (I s = 0; s < rows; ++s) own[s] = 0;
#pragma omp for schedule(static)
    for (I block = 0; block < (draws + AT_ONCE - 1) / AT_ONCE; ++block) {
      uint32_t words[AT_ONCE];
      words_of(stream, SOURCES, block >> 24, block & 0xffffff, words);
      const I left = draws - block * AT_ONCE;
      for (int k = 0; k < (left < AT_ONCE ? left : AT_ONCE); ++k) ++own[scaled(words[k], rows)];
    }
#pragma omp critical
    for (I s = 0; s < rows; ++s) counts[s] += own[s];
    free(own);
  }
}

// Rows by source from a rule that draws the sources of each target: the start of each row and, at a second call, the
// targets in their order. Behind the rule: start [sources + 1], places (null at the first call), counts [threads, sources].
// The rule's pre is the number of targets, its post that of sources.
void turn_rows(void* const* tensors, const I* sizes, const double* numbers) {
  const Rule rule = rule_of(sizes + 1, numbers, tensors);
  I* const start = (I*)tensors[RULE_TENSORS];
  int32_t* const places = (int32_t*)tensors[RULE_TENSORS + 1];
  I* const counts = (I*)tensors[RULE_TENSORS + 2];
  const I parts = sizes[0];
#pragma omp parallel for num_threads(parts) schedule(static, 1)
  for (I part = 0; part < parts; ++part) {
    Row row = {};
    I* const own = counts + part * rule.post;
    for (I t = rule.pre * part / parts; t < rule.pre * (part + 1) / parts; ++t) {
      draw_row(rule, t, row, COLUMNS);
      for (I k = 0; k < row.count; ++k) {
        const I s = row.place.at[k];
        if (places) places[own[s]] = (int32_t)t;
        ++own[s];
      }
    }
    row.drop();
  }
  if (places) return;
  I at = 0;
  for (I s = 0; s < rule.post; ++s) {
    start[s] = at;
    for (I part = 0; part < parts; ++part) {
      const I count = counts[part * rule.post + s];
      counts[part * rule.post + s] = at;
      at += count;
    }
  }
  start[rule.post] = at;
}
}
