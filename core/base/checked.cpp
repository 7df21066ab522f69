#include "caravan/checked.hpp"

#include <fmt/format.h>

#include <string>

#include "caravan/check.hpp"

namespace caravan {
namespace {

std::string text_of(std::initializer_list<Size> sizes) {
  std::string text;
  for (const Size& size : sizes)
    text += fmt::format("{}{}={}", text.empty() ? "" : " x ", size.key, size.value);
  return text;
}

}  // namespace

std::int64_t checked_product(std::initializer_list<Size> sizes, std::int64_t most, std::string_view what,
                             std::string_view place) {
  std::int64_t product = 1;
  bool fits = true;
  for (const Size& size : sizes) {
    CARAVAN_CHECK(size.value >= 0, ConfigError,
                  fmt::format("{}={} (a size is not negative)", size.key, size.value));
    fits = fits && !__builtin_mul_overflow(product, size.value, &product);
  }
  CARAVAN_CHECK(
      fits && product <= most, ConfigError,
      fmt::format("{}{}{} (at most {} {})", place, place.empty() ? "" : ": ", text_of(sizes), most, what));
  return product;
}

std::size_t checked_sum(std::size_t a, std::size_t b, std::string_view what) {
  std::size_t sum = 0;
  CARAVAN_CHECK(!__builtin_add_overflow(a, b, &sum), ConfigError,
                fmt::format("{}: {} and {} bytes (their sum does not fit 64 bits). A smaller model, or "
                            "smaller train.local_batch_size and train.sequence_length?",
                            what, a, b));
  return sum;
}

std::size_t checked_product(std::size_t a, std::size_t b, std::string_view what) {
  std::size_t product = 0;
  CARAVAN_CHECK(!__builtin_mul_overflow(a, b, &product), ConfigError,
                fmt::format("{}: {} x {} bytes (their product does not fit 64 bits). A smaller model, or "
                            "smaller train.local_batch_size and train.sequence_length?",
                            what, a, b));
  return product;
}

void refuse_narrowing(Size size, std::int64_t lowest, std::int64_t highest) {
  throw ConfigError(fmt::format("{}={} (must be in [{}, {}])", size.key, size.value, lowest, highest));
}

}  // namespace caravan
