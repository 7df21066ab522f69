#include "jobs/inspect/document_lengths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

constexpr int kMedian = 50;

double mean_of(const DocumentLengths& lengths) {
  return lengths.count == 0 ? 0 : static_cast<double>(lengths.total) / static_cast<double>(lengths.count);
}

}  // namespace

DocumentLengths summarise(std::vector<std::int64_t> lengths) {
  DocumentLengths found;
  if (lengths.empty()) return found;
  const auto longest = std::ranges::max_element(lengths);
  found.longest_document = longest - lengths.begin();
  found.longest = *longest;
  found.count = std::ssize(lengths);
  found.total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  std::ranges::sort(lengths);
  found.shortest = lengths.front();
  for (std::size_t at = 0; at < std::size(DocumentLengths::kPercents); ++at) {
    const std::size_t rank =
        (lengths.size() * static_cast<std::size_t>(DocumentLengths::kPercents[at]) + 99) / 100;
    found.percentiles[at] = lengths[rank - 1];
  }
  return found;
}

std::string DocumentLengths::describe(const std::string& unit) const {
  if (count == 0) return "  no documents\n";
  std::string percents, median;
  for (std::size_t at = 0; at < std::size(kPercents); ++at) {
    if (kPercents[at] == kMedian) median = with_commas(percentiles[at]);
    percents += fmt::format("{}{} % {}", at == 0 ? "" : ", ", kPercents[at], with_commas(percentiles[at]));
  }
  return fmt::format(
      "  a document: median {} {}s, mean {:.1f}, shortest {}, longest {} (document {})\n  percentiles: {}\n",
      median, unit, mean_of(*this), with_commas(shortest), with_commas(longest), longest_document, percents);
}

nlohmann::ordered_json DocumentLengths::to_json(const std::string& unit) const {
  nlohmann::ordered_json object = {{"unit", unit},
                                   {"mean", mean_of(*this)},
                                   {"shortest", shortest},
                                   {"longest", longest},
                                   {"longest_document", longest_document}};
  for (std::size_t at = 0; at < std::size(kPercents); ++at)
    object[fmt::format("p{}", kPercents[at])] = percentiles[at];
  return object;
}

}  // namespace caravan::jobs
