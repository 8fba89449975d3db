// How results are written. No standard headers beyond this one: they would take most of the compile time.
#include <stdint.h>

typedef int64_t I;

extern "C" {
void* malloc(__SIZE_TYPE__) noexcept;
void free(void*) noexcept;
void abort() noexcept;
long write(int, const void*, __SIZE_TYPE__) noexcept;
}
// Memory, or an end that says why: a loop that went on without it would write anywhere.
static inline void* memory_of(I bytes) {
  void* const memory = malloc((__SIZE_TYPE__)bytes);
  if (memory) return memory;
  const char text[] = "torchdyn_neuro: out of memory in a fused loop; use a smaller batch or fewer threads\n";
  if (write(2, text, sizeof(text) - 1) >= 0) {}
  abort();
}

#ifdef _OPENMP
extern "C" int omp_get_thread_num() noexcept;
extern "C" int omp_get_num_threads() noexcept;
#else
static inline int omp_get_thread_num() { return 0; }
static inline int omp_get_num_threads() { return 1; }
#endif

// Rows that are written once and not read again soon go past the caches: no line is fetched only to be overwritten.
#if defined(__AVX512F__)
typedef long long line __attribute__((vector_size(64)));
#define STREAM(to, value) __builtin_ia32_movntdq512((line*)(to), value)
#elif defined(__AVX__)
typedef long long line __attribute__((vector_size(32)));
#define STREAM(to, value) __builtin_ia32_movntdq256((line*)(to), value)
#elif defined(__SSE2__)
typedef long long line __attribute__((vector_size(16)));
#define STREAM(to, value) __builtin_ia32_movntdq((line*)(to), value)
#endif
#ifdef STREAM
static inline bool streams(const void* to, I stride) { return (((uintptr_t)to | (uintptr_t)stride) & 63) == 0; }
static inline void stream_row(void* to, const void* from, I bytes) {
  I k = 0;
  for (; k + (I)sizeof(line) <= bytes; k += sizeof(line)) STREAM((char*)to + k, *(const line*)((const char*)from + k));
  for (; k < bytes; ++k) ((char*)to)[k] = ((const char*)from)[k];
}
// Other threads see streamed rows only after a fence.
static inline void stream_end() { __builtin_ia32_sfence(); }
#else
static inline bool streams(const void*, I) { return false; }
static inline void stream_row(void*, const void*, I) {}
static inline void stream_end() {}
#endif

// New memory in pages of 2 MB: a fault for each page of 4 kB would take longer than the loop.
#ifdef __linux__
extern "C" int madvise(void*, __SIZE_TYPE__, int) noexcept;
static inline void large_pages(void* at, I bytes) {
  const uintptr_t begin = ((uintptr_t)at + 4095) & ~(uintptr_t)4095, end = ((uintptr_t)at + bytes) & ~(uintptr_t)4095;
  if (at && bytes >= (I)1 << 22) madvise((void*)begin, end - begin, 14);
}
#else
static inline void large_pages(void*, I) {}
#endif
