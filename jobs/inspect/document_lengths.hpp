#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caravan::jobs {

/// How long the documents of a data set are, in `unit` ("token", "byte").
struct DocumentLengths {
  /// In percent; a percentile is the smallest length that at least so many of the documents do not exceed.
  static constexpr int kPercents[] = {1, 5, 25, 50, 75, 95, 99};

  std::int64_t count = 0, total = 0;
  std::int64_t percentiles[std::size(kPercents)] = {};
  std::int64_t shortest = 0, longest = 0;
  std::int64_t longest_document = 0;  ///< its number, the first of several

  /// Two lines, or one where there is no document.
  std::string describe(const std::string& unit) const;
  nlohmann::ordered_json to_json(const std::string& unit) const;
};

/// `lengths`: of each document, in their order.
DocumentLengths summarise(std::vector<std::int64_t> lengths);

}  // namespace caravan::jobs
