// Numbers of a frame above which a thread carries one row: its frames have to stay in the caches.
enum { WIDE = 1 << 15 };

// Rows that a thread carries together: they share the weights in its caches. Whatever the number of threads.
static inline I rows_together(I rows, I widest) {
  return widest > WIDE ? 1 : least(rows >= 64 ? 8 : rows >= 8 ? 4 : 1, DENSE_ROWS);
}

// What both directions are given: sizes T, rows, every, threads, how many widths, states, parameters; then the widths and
// (inner, size) of each parameter, and by how many bytes each moves from step to step.
struct Call {
  I T, rows, every, threads, states, parameters, together, widest;
  const I *widths, *layout, *moves, *rest;
};
static inline Call call(const I* s) {
  const I count = s[4];
  Call c = {s[0], s[1], s[2], s[3], s[5], s[6], 0, 0, s + 7, s + 7 + count, 0, 0};
  for (I k = 0; k < count; ++k) c.widest = most(c.widest, c.widths[k]);
  c.together = rows_together(c.rows, c.widest);
  c.moves = c.layout + 2 * c.parameters;
  c.rest = c.moves + c.parameters;
  return c;
}
