#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace caravan::io {

/// Square tiles of elements of 2 or 4 bytes that change rows for columns in registers of 16 bytes. Element by
/// element, each would take a load and a store of its own.
template <class T>
class TransposedTile {
  using Lane = std::conditional_t<sizeof(T) == 2, std::uint16_t, std::uint32_t>;
  using Row [[gnu::vector_size(16)]] = Lane;

 public:
  static constexpr bool kExists = sizeof(T) == 2 || sizeof(T) == 4;
  static constexpr std::size_t kSide = 16 / sizeof(Lane);

  /// Element (r, c) of `to` becomes element (c, r) of `from`, where both have rows of kSide elements that lie
  /// together, and as many rows at these distances in bytes. Nothing needs to be aligned.
  static void copy(const std::byte* from, std::int64_t from_step, std::byte* to, std::int64_t to_step) {
    Rows rows;
    for_each<kSide>([&](auto i) { std::memcpy(&rows.at[i], from + i * from_step, sizeof(Row)); });
    for_each<kSide == 8 ? 3 : 2>([&](auto) { rows = dealt(rows); });
    for_each<kSide>([&](auto i) { std::memcpy(to + i * to_step, &rows.at[i], sizeof(Row)); });
  }

 private:
  struct Rows {
    Row at[kSide];
  };

  /// Written out, so that rows stay in registers: at -O2 a loop keeps them in memory, and is as slow as
  /// single elements.
  template <std::size_t kCount, class Visit>
  static void for_each(const Visit& visit) {
    [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
      (visit(std::integral_constant<std::int64_t, kIndex>{}), ...);
    }
    (std::make_index_sequence<kCount>{});
  }

  /// All elements dealt out like cards, those of the upper half between those of the lower. After as many
  /// times as the side is doublings of 1, columns are rows.
  static Rows dealt(const Rows& rows) {
    Rows result;
    for_each<kSide / 2>([&](auto i) {
      const Row low = rows.at[i], high = rows.at[i + kSide / 2];
      if constexpr (kSide == 8) {
        result.at[2 * i] = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
        result.at[2 * i + 1] = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
      } else {
        result.at[2 * i] = __builtin_shufflevector(low, high, 0, 4, 1, 5);
        result.at[2 * i + 1] = __builtin_shufflevector(low, high, 2, 6, 3, 7);
      }
    });
    return result;
  }
};

}  // namespace caravan::io
