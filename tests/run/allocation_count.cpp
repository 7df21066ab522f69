#include "tests/run/allocation_count.hpp"

#include <dlfcn.h>
#include <execinfo.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

// glibc's own entries below the replaced ones.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

constexpr int kFrames = 12;
std::atomic<bool> counting{false};
long allocations = 0;
std::span<const char* const> exceptions;
void* first_frames[kFrames];
int first_depth = 0;

bool contains(const char* text, const char* part) {
  return text && std::strstr(text, part);
}

/// Whether one of the callers is left out.
bool excepted(void* const* frames, int depth) {
  for (int frame = 0; frame < depth; ++frame) {
    Dl_info info{};
    if (!dladdr(frames[frame], &info)) continue;
    for (const char* name : exceptions) {
      if (contains(info.dli_fname, name) || contains(info.dli_sname, name)) return true;
    }
  }
  return false;
}

void note() {
  if (!counting.exchange(false)) return;  // off: backtrace may allocate itself
  void* frames[kFrames];
  const int depth = backtrace(frames, kFrames);
  if (!excepted(frames, depth) && allocations++ == 0) {
    std::copy(frames, frames + depth, first_frames);
    first_depth = depth;
  }
  counting = true;
}

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) {
  note();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  note();
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  note();
  return __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  note();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  note();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** to, std::size_t alignment, std::size_t bytes) {
  note();
  *to = __libc_memalign(alignment, bytes);
  return *to ? 0 : ENOMEM;
}
}

namespace caravan::testing {

AllocationCount::AllocationCount(std::span<const char* const> except) {
  exceptions = except;
  void* frames[2];
  backtrace(frames, 2);  // its first call loads a library
  first_depth = 0;
  allocations = 0;
  counting = true;
}

AllocationCount::~AllocationCount() {
  counting = false;
}

long AllocationCount::count() const {
  return allocations;
}

std::string AllocationCount::first_caller() {
  counting = false;
  std::string text;
  char** names = backtrace_symbols(first_frames, first_depth);
  for (int frame = 2; names && frame < first_depth; ++frame) text += std::string(names[frame]) + "\n";
  std::free(names);
  return text;
}

}  // namespace caravan::testing
