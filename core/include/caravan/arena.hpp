#pragma once

#include <cstddef>
#include <string>

#include "caravan/device.hpp"
#include "caravan/tensor.hpp"

namespace caravan {

/// One block of device memory handed out front to back, 64-byte aligned. Owns the block.
/// A measuring arena has no memory: it hands out null pointers and only counts, for plans and dry runs.
class Arena {
 public:
  /// Of everything that it hands out, in bytes.
  static constexpr std::size_t kAlignment = 64;

  /// Allocates `capacity` bytes at once; DeviceError when the device cannot.
  Arena(Device& device, std::size_t capacity, std::string name);
  /// Counts only.
  static Arena measuring(std::string name);
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;

  /// DeviceError naming the arena, its capacity and the demand when it does not fit.
  TensorView take(DType dtype, const Shape& shape);
  std::size_t used() const noexcept { return used_; }
  std::size_t peak() const noexcept { return peak_; }
  std::size_t capacity() const noexcept { return capacity_; }
  const std::string& name() const noexcept { return name_; }
  void* base() const noexcept { return base_; }
  /// Gives back everything taken since `mark` (a former used()).
  void rewind(std::size_t mark) noexcept { used_ = mark; }

 private:
  explicit Arena(std::string name);
  Device* device_ = nullptr;
  std::string name_;
  void* base_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

/// Gives back on leaving the scope what was taken inside it.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.used()) {}
  ~ArenaScope() { arena_.rewind(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  std::size_t mark_;
};

}  // namespace caravan
