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

/// The elements of a part, in row-major order. Element i is normal i mod 4 of block i / 4.
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

/// A box of a part, and memory for it.
struct Target {
  const TensorView& view;
  const Box& box;
  const Shape& part;
};

/// Where row `row` of the box's rows (its last axis) begins, in memory and in the whole part.
struct RowPlace {
  std::int64_t in_view = 0, in_part = 0;
};

RowPlace place_of_row(const Target& to, std::int64_t row) {
  const int last = to.part.rank() - 1;
  RowPlace place{0, to.box.begin(last)};
  std::int64_t behind = to.part[last];
  for (int axis = last; axis-- > 0;) {
    const std::int64_t at = row % to.box.extents[axis];
    row /= to.box.extents[axis];
    place.in_view += at * to.view.stride(axis);
    place.in_part += (to.box.begin(axis) + at) * behind;
    behind *= to.part[axis];
  }
  return place;
}

void fill_rows(const Target& to, const Initial& rule, RandomKey key, AxisRange rows) {
  const std::int64_t columns = to.view.extent(to.part.rank() - 1);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const RowPlace place = place_of_row(to, row);
    Draw draw(rule, key, place.in_part);
    float* values = to.view.as<float>() + place.in_view;
    for (std::int64_t column = 0; column < columns; ++column) values[column] = draw.next();
  }
}

/// A normal takes 20 ns; the threads are those that this process may run on.
void fill_box(const Target& to, const Initial& rule, RandomKey key) {
  constexpr std::int64_t kWorthAThread = 1 << 20;
  const std::int64_t count = to.view.count(), columns = to.view.extent(to.part.rank() - 1),
                     rows = count / std::max<std::int64_t>(columns, 1);
  const auto most = static_cast<std::int64_t>(std::max(1u, std::thread::hardware_concurrency()));
  const auto threads = static_cast<int>(std::clamp(count / kWorthAThread, std::int64_t{1}, most));
  const auto fill_share = [&](int index) { fill_rows(to, rule, key, share_of_axis(rows, threads, index)); };
  std::vector<std::jthread> others;
  for (int index = 1; index < threads; ++index) others.emplace_back(fill_share, index);
  fill_share(0);
}

}  // namespace

void ParameterStore::initialise(std::uint64_t seed) {
  for (const Fragment& fragment : fragments_) {
    set(fragment, [&](const TensorView& values) {
      for (const PartOfFragment& each : parts_of(fragment, values)) {
        const ParameterPart& part = fragment.parameter->spec().parts[each.part];
        fill_box({each.view, each.box, fragment.parameter->part_shape(each.part)}, part.initial,
                 {seed, hash_name(part.name)});
      }
    });
  }
}

}  // namespace caravan
