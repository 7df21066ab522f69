#include "jobs/generate/decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "caravan/check.hpp"
#include "jobs/setup/finite.hpp"
#include "jobs/setup/host_memory.hpp"

namespace caravan::jobs {
namespace {

/// Longer pieces gain nothing and cost memory.
constexpr std::int64_t kLongestPiece = 256;

StashLayout piece_layout(ModelInstance& model, std::int64_t length, std::int64_t cache_length) {
  return StashLayout(model.stage().layers(),
                     BatchShape{1, length, Phase::decode, cache_length, model.compute()},
                     StashMode::inference, model.stage().width());
}

}  // namespace

Decoder::Piece::Piece(Device& device, Stage& stage, StashLayout layout, const Stash* session)
    : stash(session ? Stash(device, std::move(layout), *session) : Stash(device, std::move(layout), 1)),
      executor(device, stage, stash) {}

Decoder::Decoder(Device& device, ModelInstance& model, std::int64_t max_positions)
    : device_(device),
      model_(model),
      max_positions_(max_positions),
      memory_(device, static_cast<std::size_t>(model.stage().vocab_size()) * sizeof(float) + 64, "logits"),
      device_logits_(memory_.take(DType::f32, {1, model.stage().vocab_size()})),
      logits_(static_cast<std::size_t>(model.stage().vocab_size())) {
  CARAVAN_CHECK(
      max_positions <= model.positions(), ConfigError,
      fmt::format("{} positions wanted (the model was made for {})", max_positions, model.positions()));
  // Of the longest piece, with the cache that all share.
  const StashLayout longest = piece_layout(model, std::min(max_positions, kLongestPiece), max_positions);
  check_room(device, longest.total_bytes(1), fmt::format("decoding of {} positions", max_positions),
             "Fewer --max-new-tokens, or a shorter prompt?");
  pieces_[1] = std::make_unique<Piece>(device, model.stage(), piece_layout(model, 1, max_positions), nullptr);
}

Decoder::Piece& Decoder::piece(std::int64_t length) {
  std::unique_ptr<Piece>& made = pieces_[length];
  if (!made) {
    made = std::make_unique<Piece>(device_, model_.stage(), piece_layout(model_, length, max_positions_),
                                   &pieces_[1]->stash);
  }
  return *made;
}

/// The longest power of two that is wanted and does not cross a chunk: powers of two keep the number of plans
/// small.
std::int64_t Decoder::next_length(std::int64_t wanted) const {
  std::int64_t length = std::min(wanted, kLongestPiece);
  if (const std::int64_t chunk = model_.stage().chunk_size(); chunk > 0) {
    length = std::min(length, chunk - position_ % chunk);
  }
  return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(length)));
}

void Decoder::check_logits() const {
  const auto bad = find_not_finite(logits_);
  if (!bad) return;
  throw NumericalError(
      fmt::format("the logits after position {} are not finite ({} of {}; the first, of token {}, is {}). "
                  "Are the weights "
                  "finite? `caravan inspect CHECKPOINT --stats` counts what is not",
                  position_ - 1, bad->count, logits_.size(), bad->first, name_of(*bad)));
}

std::span<const float> Decoder::feed(std::span<const std::int32_t> tokens) {
  CARAVAN_CHECK(position_ + static_cast<std::int64_t>(tokens.size()) <= max_positions_, ConfigError,
                fmt::format("{} tokens after {} (room for {})", tokens.size(), position_, max_positions_));
  for (std::size_t done = 0; done < tokens.size();) {
    const std::int64_t length = next_length(static_cast<std::int64_t>(tokens.size() - done));
    MicroBatch batch;
    batch.tokens = tokens.subspan(done, static_cast<std::size_t>(length));
    batch.token_map = TokenMap::piece(position_, length);
    done += static_cast<std::size_t>(length);
    if (done == tokens.size()) batch.logits = device_logits_;
    piece(length).executor.forward(batch);
    position_ += length;
  }
  device_.copy_to_host(Lane::compute, logits_.data(), device_logits_.data, device_logits_.bytes());
  device_.synchronize();
  check_logits();
  return logits_;
}

}  // namespace caravan::jobs
