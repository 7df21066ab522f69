#include "jobs/inspect/difference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "jobs/inspect/value_stream.hpp"

namespace caravan::jobs {
namespace {

/// Σa², Σb², Σab over elements finite in both.
struct Products {
  double aa = 0, bb = 0, ab = 0;

  double cosine() const {
    if (aa == 0 || bb == 0) return aa == bb ? 1 : 0;
    return std::clamp(ab / std::sqrt(aa) / std::sqrt(bb), -1.0, 1.0);
  }
};

/// Zero for equal infinities and for two NaN; infinite when only one of them is finite or a NaN.
double distance(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const double off = std::abs(a - b);
  return std::isnan(off) ? std::numeric_limits<double>::infinity() : off;
}

double relative(double off, double a, double b) {
  if (off == 0) return 0;
  return std::isfinite(off) ? off / std::max(std::abs(a), std::abs(b)) : off;
}

class Comparison {
 public:
  explicit Comparison(const Tolerance& tolerance) : tolerance_(tolerance) {}

  void add(std::span<const double> a, std::span<const double> b) {
    for (std::size_t i = 0; i < a.size(); ++i) see(a[i], b[i]);
  }
  /// Elements that are the same in both.
  void add_same(std::span<const double> values) {
    result_.count += values.size();
    double squares = 0;
    for (const double value : values) squares += std::isfinite(value) ? value * value : 0;
    products_.aa += squares;
    products_.bb += squares;
    products_.ab += squares;
  }
  /// Whole numbers above 2^53 may differ where doubles do not.
  void add_hidden_change() { result_.changed += tolerance_.rtol == 0 && tolerance_.atol == 0 ? 1 : 0; }
  std::uint64_t changed() const { return result_.changed; }

  ValueDifference result() const {
    ValueDifference result = result_;
    result.cosine = products_.cosine();
    return result;
  }

 private:
  void see(double a, double b) {
    const double off = distance(a, b);
    if (off > result_.largest) {
      result_.largest = off;
      result_.largest_at = result_.count;
    }
    result_.largest_relative = std::max(result_.largest_relative, relative(off, a, b));
    const double allowed = tolerance_.atol + tolerance_.rtol * std::abs(b);
    if (off > 0 && !(off <= allowed && std::isfinite(off))) ++result_.changed;
    ++result_.count;
    if (!std::isfinite(a) || !std::isfinite(b)) return;
    products_.aa += a * a;
    products_.bb += b * b;
    products_.ab += a * b;
  }

  Tolerance tolerance_;
  ValueDifference result_;
  Products products_;
};

/// A buffer for the same block of the other tensor.
Block fitting(std::vector<std::byte>& bytes, io::NumberType element, const Shape& shape) {
  bytes.resize(static_cast<std::size_t>(shape.count()) * size_of(element));
  return {bytes.data(), element, shape};
}

bool are_same_bytes(const Block& a, const Block& b) {
  return a.element == b.element && std::memcmp(a.data, b.data, a.bytes()) == 0;
}

void compare_blocks(const Block& a, const Block& b, Comparison& comparison) {
  std::vector<double> left, right;
  const bool are_same = are_same_bytes(a, b);
  const std::uint64_t before = comparison.changed();
  for_each_piece(a, left, [&](std::span<const double> values, std::uint64_t first) {
    if (are_same) return comparison.add_same(values);
    right.resize(values.size());
    to_double(b, first, right);
    comparison.add(values, right);
  });
  const bool are_long =
      a.element == b.element && (a.element == io::NumberType::i64 || a.element == io::NumberType::u64);
  if (are_long && !are_same && comparison.changed() == before) comparison.add_hidden_change();
}

}  // namespace

ValueDifference compare_values(const TensorOf& a, const TensorOf& b, const Tolerance& tolerance) {
  const io::NumberType element_a = a.tensor.element.value(), element_b = b.tensor.element.value();
  const std::int64_t most = std::min(elements_a_block(element_a), elements_a_block(element_b));
  Comparison comparison(tolerance);
  std::vector<std::byte> bytes_a, bytes_b;
  for_each_block(whole_of(a.tensor), most, [&](const Origin& origin, const Shape& shape, std::uint64_t) {
    const Block left = fitting(bytes_a, element_a, shape), right = fitting(bytes_b, element_b, shape);
    a.source.read(a.tensor, origin, left);
    b.source.read(b.tensor, origin, right);
    compare_blocks(left, right, comparison);
  });
  return comparison.result();
}

}  // namespace caravan::jobs
