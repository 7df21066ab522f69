#include "jobs/generate/plan_decoding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "caravan/log.hpp"
#include "jobs/setup/host_memory.hpp"

namespace caravan::jobs {
namespace {

/// Positions of a page: few enough that short sequences waste little, enough that a page is read in one go.
constexpr std::int64_t kPage = 16;

/// The sum of the largest `count`.
std::int64_t largest_sum(std::vector<std::int64_t> values, std::size_t count) {
  std::sort(values.begin(), values.end(), std::greater<>());
  std::int64_t sum = 0;
  for (std::size_t at = 0; at < std::min(count, values.size()); ++at) sum += values[at];
  return sum;
}

double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / 1048576;
}

}  // namespace

std::int64_t longest_of(const std::vector<Asked>& asked) {
  std::int64_t longest = 0;
  for (const Asked& each : asked) longest = std::max(longest, each.sequence.positions());
  return longest;
}

CacheShape cache_of(const GenerateOptions& options, const std::vector<Asked>& asked, std::int64_t chunk) {
  const auto slots = std::min(static_cast<std::size_t>(options.batch), asked.size());
  std::vector<std::int64_t> pages, chunk_pages;
  for (const Asked& each : asked) {
    const PageNeed need = pages_for(each.sequence.positions(), kPage, chunk);
    pages.push_back(need.pages);
    chunk_pages.push_back(need.chunk_pages);
  }
  CacheShape cache{static_cast<std::int64_t>(slots), longest_of(asked), kPage, largest_sum(pages, slots),
                   largest_sum(chunk_pages, slots)};
  if (options.cache_positions > 0) {
    const PageNeed most = pages_for(options.cache_positions, kPage, 0);
    cache.pages = std::min(cache.pages, most.pages);
    cache.chunk_pages = std::min(cache.chunk_pages, most.pages);
  }
  return cache;
}

DecodePlan plan_decoding(const Device& device, const ModelInstance& model, const CacheShape& cache) {
  DecodePlan plan;
  plan.cache = cache;
  const std::int64_t beside = cache.slots > 1 ? cache.slots : 0;
  plan.most_rows = beside + std::min(piece_rows(device), cache.slots * cache.positions);
  plan.compute = model.compute();
  return plan;
}

void check_decoding(Device& device, ModelInstance& model, const DecodePlan& plan) {
  const std::size_t bytes = Decoder::bytes(device, model.stage(), plan);
  const CacheShape& cache = plan.cache;
  check_room(
      device, bytes,
      fmt::format("decoding {} sequences at a time, of {} positions at most", cache.slots, cache.positions),
      "Fewer --batch, --cache-positions or --max-new-tokens, or shorter prompts?");
  log_info(
      fmt::format("decoding {} sequences at a time: {:.1f} MiB, with {} pages of {} positions in a layer{}",
                  cache.slots, mebibytes(bytes), cache.pages, cache.page,
                  cache.chunk_pages > 0 ? fmt::format(" ({} where it sees chunks)", cache.chunk_pages) : ""));
}

}  // namespace caravan::jobs
