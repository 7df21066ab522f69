#include "tests/run/cached_forward.hpp"

#include <algorithm>

namespace caravan::testing {

CachedForward::CachedForward(TestModel& model, std::int64_t cache_length)
    : model_(model), cache_length_(cache_length) {
  piece_of(1);
}

CachedForward::Piece& CachedForward::piece_of(std::int64_t length) {
  std::unique_ptr<Piece>& made = pieces_[length];
  if (!made) {
    const StashLayout layout(model_.stage().layers(), BatchShape{1, length, Phase::decode, cache_length_},
                             StashMode::inference, model_.stage().width());
    made = std::make_unique<Piece>(model_, layout, length == 1 ? nullptr : &pieces_.at(1)->stash);
  }
  return *made;
}

std::vector<float> CachedForward::feed(std::span<const std::int32_t> tokens) {
  const std::int64_t vocabulary = model_.stage().vocab_size();
  std::vector<float> logits(static_cast<std::size_t>(vocabulary));
  MicroBatch batch;
  batch.tokens = tokens;
  batch.token_map = TokenMap::piece(position_, static_cast<std::int64_t>(tokens.size()));
  batch.logits = TensorView(logits.data(), DType::f32, {1, vocabulary});
  piece_of(static_cast<std::int64_t>(tokens.size())).executor.forward(batch);
  position_ += static_cast<std::int64_t>(tokens.size());
  return logits;
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
