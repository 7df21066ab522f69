#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

namespace caravan {

/// A number with the key that it came from, for messages: {"model.dim", 256}.
struct Size {
  std::string_view key;
  std::int64_t value = 0;
};

/// Most elements of one parameter. 65,536 of them with gradient and two moments in fp32 are below 2^64 bytes.
inline constexpr std::int64_t kMostElements = std::int64_t{1} << 42;
/// Most rows of tokens that operators number: they count in 32 bits.
inline constexpr std::int64_t kMostRows = std::numeric_limits<std::int32_t>::max();

/// The product of sizes, none negative. ConfigError with all keys and values when it is above `most`; `what`:
/// what there would be too many of ("elements of one parameter"); `place`: where the keys stand, or nothing.
std::int64_t checked_product(std::initializer_list<Size> sizes, std::int64_t most, std::string_view what,
                             std::string_view place = {});

/// Sums and products of bytes; ConfigError naming `what` ("activations") when they do not fit 64 bits.
std::size_t checked_sum(std::size_t a, std::size_t b, std::string_view what);
std::size_t checked_product(std::size_t a, std::size_t b, std::string_view what);

/// Fails as narrow() does.
[[noreturn]] void refuse_narrowing(Size size, std::int64_t lowest, std::int64_t highest);

/// The value in a smaller type. ConfigError with the key when that cannot hold it.
template <class To>
To narrow(Size size) {
  static_assert(std::is_integral_v<To> && sizeof(To) <= sizeof(std::int32_t));
  using Limits = std::numeric_limits<To>;
  if (!std::in_range<To>(size.value))
    refuse_narrowing(size, std::int64_t{Limits::min()}, std::int64_t{Limits::max()});
  return static_cast<To>(size.value);
}

}  // namespace caravan
