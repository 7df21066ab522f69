#pragma once

#include <cstdint>
#include <string>

namespace caravan {

/// Ids [first, first + count) of a vocabulary. constexpr, so that kernels compute with the same code.
struct IdRange {
  std::int64_t first = 0, count = 0;

  constexpr bool has(std::int64_t id) const noexcept { return id >= first && id - first < count; }
  /// After a number in a message: " from 5 on", or nothing where ids begin at 0.
  std::string from_where() const {
    return first == 0 ? std::string() : " from " + std::to_string(first) + " on";
  }
};

/// The ids that some rank has, where this one has `rows` of them from args.first_id on. Others are a fault.
template <class Args>
constexpr IdRange ids_of_all_ranks(const Args& args, std::int64_t rows) noexcept {
  return args.vocabulary == 0 ? IdRange{args.first_id, rows} : IdRange{0, args.vocabulary};
}

}  // namespace caravan
