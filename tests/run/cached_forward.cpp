#include "tests/run/cached_forward.hpp"

#include <algorithm>

namespace caravan::testing {
namespace {

/// Few, so that sequences have several.
constexpr std::int64_t kPage = 4;

}  // namespace

DecodePlan decode_plan(TestModel& model, std::int64_t slots, std::int64_t positions, std::int64_t most_rows) {
  DecodePlan plan;
  plan.cache = cache_for(slots, positions, kPage, model.stage().chunk_size());
  plan.most_rows = most_rows;
  plan.drawable = model.stage().vocab_size();
  return plan;
}

CachedForward::CachedForward(TestModel& model, std::int64_t cache_length)
    : model_(model),
      decoder_(model.device(), model.stage(), decode_plan(model, 1, cache_length, cache_length)) {
  CacheSlots slots(cache_for(1, cache_length, kPage, model.stage().chunk_size()), model.stage().chunk_size());
  decoder_.begin(*slots.take(cache_length), {{.temperature = 0}, cache_length, {}});
}

std::vector<float> CachedForward::feed(std::span<const std::int32_t> tokens) {
  std::vector<DecodeRow> rows;
  for (const std::int32_t token : tokens)
    rows.push_back({token, 0, static_cast<std::int32_t>(position_++), false});
  rows.back().answer = true;
  decoder_.post(rows);
  decoder_.await();
  return decoder_.logits(0);
}

std::vector<float> CachedForward::feed(std::span<const std::int32_t> tokens, std::int64_t piece) {
  std::vector<float> logits;
  const std::int64_t chunk = model_.stage().chunk_size();
  while (!tokens.empty()) {
    auto length = std::min(piece, static_cast<std::int64_t>(tokens.size()));
    if (chunk > 0) length = std::min(length, chunk - position_ % chunk);
    logits = feed(tokens.first(static_cast<std::size_t>(length)));
    tokens = tokens.subspan(static_cast<std::size_t>(length));
  }
  return logits;
}

std::vector<std::int32_t> continue_greedily(TestModel& model, std::vector<std::int32_t> prompt,
                                            std::int64_t count) {
  CachedForward cached(model, static_cast<std::int64_t>(prompt.size()) + count);
  std::vector<std::int32_t> added;
  std::vector<float> logits = cached.feed(prompt, 64);
  while (static_cast<std::int64_t>(added.size()) < count) {
    const auto likeliest = std::max_element(logits.begin(), logits.end()) - logits.begin();
    added.push_back(static_cast<std::int32_t>(likeliest));
    logits = cached.feed(std::span(&added.back(), 1));
  }
  return added;
}

}  // namespace caravan::testing
