#include "tests/fuzz/heap_meter.hpp"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#if defined(__SANITIZE_ADDRESS__)
#define CARAVAN_HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CARAVAN_HAVE_ASAN 1
#endif
#endif

namespace {

std::atomic<bool> metering{false};
std::atomic<long> held{0}, most{0};

void took(std::size_t bytes) {
  const long now = held += static_cast<long>(bytes);
  if (now > most) most = now;
}

void gave(std::size_t bytes) {
  held -= static_cast<long>(bytes);
}

}  // namespace

#ifdef CARAVAN_HAVE_ASAN

// Declared here, as g++ comes without <sanitizer/allocator_interface.h> and with what it declares.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, std::size_t),
                                              void (*)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void*);
}

namespace {

void on_malloc(const volatile void*, std::size_t bytes) {
  if (metering) took(bytes);
}
void on_free(const volatile void* block) {
  if (metering && block) gave(__sanitizer_get_allocated_size(block));
}
[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);

}  // namespace

#else

// glibc's own entries below the replaced ones.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
}

namespace {

void* noted(void* block) {
  if (block && metering) took(::malloc_usable_size(block));
  return block;
}

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) {
  return noted(__libc_malloc(bytes));
}
void* calloc(std::size_t count, std::size_t bytes) {
  return noted(__libc_calloc(count, bytes));
}
void* realloc(void* old, std::size_t bytes) {
  const std::size_t before = old && metering ? ::malloc_usable_size(old) : 0;
  void* const block = __libc_realloc(old, bytes);
  if (block || bytes == 0) gave(before);
  return noted(block);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  return noted(__libc_memalign(alignment, bytes));
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return noted(__libc_memalign(alignment, bytes));
}
int posix_memalign(void** to, std::size_t alignment, std::size_t bytes) {
  void* const block = noted(__libc_memalign(alignment, bytes));
  if (!block) return ENOMEM;
  *to = block;
  return 0;
}
void free(void* block) {
  if (block && metering) gave(::malloc_usable_size(block));
  __libc_free(block);
}
}

#endif

namespace caravan::fuzz {

HeapMeter::HeapMeter() {
  held = 0;
  most = 0;
  metering = true;
}

HeapMeter::~HeapMeter() {
  metering = false;
}

std::size_t HeapMeter::peak() const {
  return static_cast<std::size_t>(std::max<long>(most, 0));
}

}  // namespace caravan::fuzz
