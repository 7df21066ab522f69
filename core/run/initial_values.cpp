#include <algorithm>
#include <array>
#include <cmath>
#include <thread>
#include <vector>

#include "caravan/parameter.hpp"
#include "caravan/random.hpp"

namespace caravan {
namespace {

/// Four standard normals from one Philox call: two Box–Muller pairs.
std::array<float, 4> normals(RandomKey key, std::uint64_t block) {
  const auto bits = philox(key, 0, block);
  std::array<float, 4> values;
  for (std::size_t pair = 0; pair < 4; pair += 2) {
    const float radius = std::sqrt(-2.0f * std::log(unit_float(bits[pair])));
    const float angle = 6.28318530717958647692f * unit_float(bits[pair + 1]);
    values[pair] = radius * std::cos(angle);
    values[pair + 1] = radius * std::sin(angle);
  }
  return values;
}

/// The elements of one part, in row-major order. Element i is normal i mod 4 of block i / 4.
class Draw {
 public:
  /// Begins at element `first`.
  Draw(const Initial& rule, RandomKey key, std::int64_t first)
      : rule_(rule), key_(key), index_(static_cast<std::uint64_t>(first)) {
    if (index_ % 4 != 0) block_ = normals(key_, index_ / 4);
  }

  float next() {
    if (rule_.rule != Initial::Rule::normal) return rule_.rule == Initial::Rule::ones ? 1.0f : 0.0f;
    if (index_ % 4 == 0) block_ = normals(key_, index_ / 4);
    const float value = rule_.std * block_[index_++ % 4];
    return rule_.bound > 0 ? std::clamp(value, -rule_.bound, rule_.bound) : value;
  }

 private:
  const Initial& rule_;
  RandomKey key_;
  std::uint64_t index_;
  std::array<float, 4> block_{};
};

struct RowRange {
  std::int64_t begin, end;
};

void fill_rows(const TensorView& part, Draw draw, RowRange rows) {
  const int rank = part.shape.rank();
  const std::int64_t columns = part.extent(rank - 1);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    std::int64_t offset = 0, rest = row;
    for (int axis = rank - 2; axis >= 0; --axis) {
      offset += rest % part.extent(axis) * part.stride(axis);
      rest /= part.extent(axis);
    }
    for (std::int64_t column = 0; column < columns; ++column) part.as<float>()[offset + column] = draw.next();
  }
}

/// A normal takes 20 ns; the threads are those that this process may run on.
void fill_part(const TensorView& part, const Initial& rule, RandomKey key) {
  constexpr std::int64_t kWorthAThread = 1 << 20;
  const std::int64_t columns = part.extent(part.shape.rank() - 1),
                     rows = part.count() / std::max<std::int64_t>(columns, 1);
  const auto most = static_cast<std::int64_t>(std::max(1u, std::thread::hardware_concurrency()));
  const std::int64_t threads = std::clamp(part.count() / kWorthAThread, std::int64_t{1}, most);
  const auto fill_share = [&](std::int64_t index) {
    const RowRange share{index * rows / threads, (index + 1) * rows / threads};
    fill_rows(part, Draw(rule, key, share.begin * columns), share);
  };
  std::vector<std::jthread> others;
  for (std::int64_t index = 1; index < threads; ++index) others.emplace_back(fill_share, index);
  fill_share(0);
}

}  // namespace

void ParameterStore::initialise(std::uint64_t seed) {
  for (const auto& parameter : parameters_) {
    set(*parameter, [&](const TensorView& values) {
      for (std::size_t index = 0; index < parameter->spec().parts.size(); ++index) {
        const ParameterPart& part = parameter->spec().parts[index];
        fill_part(parameter->part(values, index), part.initial, {seed, hash_name(part.name)});
      }
    });
  }
}

}  // namespace caravan
