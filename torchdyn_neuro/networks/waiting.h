// How threads wait for each other, and how long things take. After memory.h.
enum { SPINS = 2000 };
extern "C" int sched_yield() noexcept;

static inline uint64_t ticks() {
#ifdef __x86_64__
  return __builtin_ia32_rdtsc();
#else
  return 0;
#endif
}
static inline void pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

// All threads wait for the last: they spin, then let others run.
struct Barrier {
  alignas(64) I arrived;
  alignas(64) I turn;
  void wait(I threads) {
    if (threads == 1) return;
    const I now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == threads) {
      __atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
      __atomic_store_n(&turn, now + 1, __ATOMIC_RELEASE);
      return;
    }
    for (I spins = 0; __atomic_load_n(&turn, __ATOMIC_ACQUIRE) == now; ++spins)
      if (spins < SPINS)
        pause();
      else
        sched_yield();
  }
};
