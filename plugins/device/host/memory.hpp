#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace caravan::host {

/// 64-byte aligned; blocks from 2 MiB on are aligned to 2 MiB and ask for huge pages. DeviceError names
/// `what`.
void* allocate(std::size_t bytes, std::string_view what);
void release(void* data) noexcept;

struct Release {
  void operator()(float* data) const noexcept { release(data); }
};

/// Scratch of one worker: one block that grows to the largest demand seen, so that a step allocates nothing
/// once every operator has run. take() is valid until the next begin().
class Workspace {
 public:
  /// Starts over with room for `floats` in all, counting kPadding more for each take().
  void begin(std::size_t floats, std::size_t takes);
  /// 64-byte aligned, not initialised.
  float* take(std::size_t floats);
  /// Room for `count` objects of a plain type of whole floats' size.
  template <class T>
  T* take_as(std::size_t count) {
    static_assert(sizeof(T) % sizeof(float) == 0);
    return reinterpret_cast<T*>(take(count * (sizeof(T) / sizeof(float))));
  }

 private:
  static constexpr std::size_t kPadding = 16;
  std::unique_ptr<float[], Release> block_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
};

}  // namespace caravan::host
