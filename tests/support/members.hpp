#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace caravan::testing {
namespace members {

/// Stands for a value of any type, to count what an aggregate is made from.
struct Anything {
  template <class T>
  operator T() const;
};

template <class T, std::size_t... I>
constexpr bool made_from(std::index_sequence<I...>) {
  return requires {
    T{(static_cast<void>(I), Anything{})...};
  };
}

/// Members of an aggregate.
template <class T, std::size_t N = 16>
constexpr std::size_t count() {
  static_assert(N > 0, "no aggregate, or more members than for_each_member knows");
  if constexpr (made_from<T>(std::make_index_sequence<N>()))
    return N;
  else
    return count<T, N - 1>();
}

}  // namespace members

/// Calls visit(member) for every member of an aggregate of 1 to 16 members.
template <class T, class Visit>
void for_each_member(const T& whole, const Visit& visit) {
  const auto each = [&](const auto&... all) { (visit(all), ...); };
  constexpr std::size_t kCount = members::count<T>();
#define CARAVAN_MEMBERS(N, ...)        \
  if constexpr (kCount == N) {         \
    const auto& [__VA_ARGS__] = whole; \
    return each(__VA_ARGS__);          \
  }
  CARAVAN_MEMBERS(1, a)
  CARAVAN_MEMBERS(2, a, b)
  CARAVAN_MEMBERS(3, a, b, c)
  CARAVAN_MEMBERS(4, a, b, c, d)
  CARAVAN_MEMBERS(5, a, b, c, d, e)
  CARAVAN_MEMBERS(6, a, b, c, d, e, f)
  CARAVAN_MEMBERS(7, a, b, c, d, e, f, g)
  CARAVAN_MEMBERS(8, a, b, c, d, e, f, g, h)
  CARAVAN_MEMBERS(9, a, b, c, d, e, f, g, h, i)
  CARAVAN_MEMBERS(10, a, b, c, d, e, f, g, h, i, j)
  CARAVAN_MEMBERS(11, a, b, c, d, e, f, g, h, i, j, k)
  CARAVAN_MEMBERS(12, a, b, c, d, e, f, g, h, i, j, k, l)
  CARAVAN_MEMBERS(13, a, b, c, d, e, f, g, h, i, j, k, l, m)
  CARAVAN_MEMBERS(14, a, b, c, d, e, f, g, h, i, j, k, l, m, n)
  CARAVAN_MEMBERS(15, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)
  CARAVAN_MEMBERS(16, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
#undef CARAVAN_MEMBERS
}

}  // namespace caravan::testing
