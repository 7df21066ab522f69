#include "jobs/check/guarded_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "caravan/bf16.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kGuard = 256;  // bytes on each side; a multiple of every alignment
constexpr unsigned char kUntouched = 0xA5;

}  // namespace

GuardedMemory::~GuardedMemory() {
  for (const Piece& piece : pieces_) device_.release(piece.base);
}

TensorView GuardedMemory::take(std::string name, DType dtype, const Shape& shape) {
  const std::size_t bytes = static_cast<std::size_t>(shape.count()) * size_of(dtype);
  auto* base = static_cast<unsigned char*>(device_.allocate(bytes + 2 * kGuard, name));
  pieces_.push_back({std::move(name), base, bytes});
  const std::vector<unsigned char> untouched(bytes + 2 * kGuard, kUntouched);
  copy_in(base, untouched.data(), untouched.size());
  return TensorView(base + kGuard, dtype, shape);
}

std::string GuardedMemory::trespass() const {
  for (const Piece& piece : pieces_) {
    std::vector<unsigned char> seen(piece.bytes + 2 * kGuard);
    copy_out(seen.data(), piece.base, seen.size());
    const auto written = [](auto begin, auto end) {
      return std::count_if(begin, end, [](unsigned char byte) { return byte != kUntouched; });
    };
    const auto before = written(seen.begin(), seen.begin() + kGuard);
    const auto behind = written(seen.end() - kGuard, seen.end());
    if (before + behind > 0)
      return fmt::format("{} bytes {} {} are written", before + behind, before > 0 ? "before" : "behind",
                         piece.name);
  }
  return "";
}

void GuardedMemory::copy_in(void* to, const void* from, std::size_t bytes) const {
  if (bytes == 0) return;
  device_.copy_from_host(Lane::compute, to, from, bytes);
  device_.synchronize();
}

void GuardedMemory::copy_out(void* to, const void* from, std::size_t bytes) const {
  if (bytes == 0) return;
  device_.copy_to_host(Lane::compute, to, from, bytes);
  device_.synchronize();
}

void GuardedMemory::write(const TensorView& to, const std::vector<float>& numbers) const {
  if (to.dtype == DType::f32) return copy_in(to.data, numbers.data(), to.bytes());
  std::vector<std::uint16_t> rounded(numbers.size());
  std::ranges::transform(numbers, rounded.begin(), to_bf16);
  copy_in(to.data, rounded.data(), to.bytes());
}

void GuardedMemory::write(const TensorView& to, const std::vector<std::int32_t>& numbers) const {
  copy_in(to.data, numbers.data(), to.bytes());
}

std::vector<float> GuardedMemory::read(const TensorView& from) const {
  std::vector<float> numbers(static_cast<std::size_t>(from.count()));
  if (from.dtype == DType::f32) {
    copy_out(numbers.data(), from.data, from.bytes());
    return numbers;
  }
  std::vector<std::uint16_t> rounded(numbers.size());
  copy_out(rounded.data(), from.data, from.bytes());
  std::ranges::transform(rounded, numbers.begin(), from_bf16);
  return numbers;
}

std::vector<std::int32_t> GuardedMemory::read_integers(const TensorView& from) const {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(from.count()));
  copy_out(numbers.data(), from.data, from.bytes());
  return numbers;
}

void GuardedMemory::fill(const TensorView& view, unsigned char byte) const {
  const std::vector<unsigned char> bytes(view.bytes(), byte);
  copy_in(view.data, bytes.data(), bytes.size());
}

}  // namespace caravan::jobs
