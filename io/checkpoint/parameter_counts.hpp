#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/parameter.hpp"

namespace caravan::io {

/// What a weight belongs to by its global name; nothing for a name that no layer of ours gives.
std::optional<ParameterKind> kind_of_name(std::string_view name) noexcept;

struct KindCount {
  std::string kind;  ///< "embedding", …, "other"
  std::int64_t count = 0;
};

/// Elements by kind, in the order of ParameterKind, kinds without any left out.
class ParameterCounts {
 public:
  void add(std::string_view name, std::int64_t count);
  std::vector<KindCount> by_kind() const;
  std::int64_t total() const noexcept { return total_; }

 private:
  std::int64_t counts_[kParameterKinds] = {};
  std::int64_t other_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace caravan::io
