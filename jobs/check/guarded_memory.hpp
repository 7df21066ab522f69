#pragma once

#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/tensor.hpp"

namespace caravan::jobs {

/// Memory of a device, each piece between bytes that nobody may write.
class GuardedMemory {
 public:
  explicit GuardedMemory(Device& device) : device_(device) {}
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  /// Aligned as an arena's; `name`: "the received rows".
  TensorView take(std::string name, DType dtype, const Shape& shape);
  /// "2 bytes behind the received rows are written", or empty. Waits for the device.
  std::string trespass() const;

  /// Numbers, rounded to the view's type, in and out. The device's compute lane has done all before it.
  void write(const TensorView& to, const std::vector<float>& numbers) const;
  void write(const TensorView& to, const std::vector<std::int32_t>& numbers) const;
  std::vector<float> read(const TensorView& from) const;
  std::vector<std::int32_t> read_integers(const TensorView& from) const;
  /// Every byte becomes `byte`.
  void fill(const TensorView& view, unsigned char byte) const;

 private:
  struct Piece {
    std::string name;
    unsigned char* base;
    std::size_t bytes;
  };
  void copy_in(void* to, const void* from, std::size_t bytes) const;
  void copy_out(void* to, const void* from, std::size_t bytes) const;

  Device& device_;
  std::vector<Piece> pieces_;
};

}  // namespace caravan::jobs
