#include "core/run/decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"

namespace caravan {
namespace {

/// Sizes up to this one each have their own number of rows: a row more costs there what it reads.
constexpr std::int64_t kExactRows = 8;

void copy_to(Device& device, TensorView to, const void* from) {
  if (!to.empty()) device.copy_from_host(Lane::compute, to.data, from, to.bytes());
}

}  // namespace

std::int64_t piece_rows(const Device& device) {
  return device.memory() == Memory::device ? 4096 : 256;
}

std::int64_t padded_rows(std::int64_t rows, std::int64_t most) {
  if (rows <= kExactRows) return std::min(rows, most);
  const auto power = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(rows)));
  return std::min(most, rows <= power / 4 * 3 ? power / 4 * 3 : power);
}

Decoder::Size::Size(Device& device, Stage& stage, StageGroups* groups, const StashLayout& layout,
                    const Stash* session)
    : stash(session ? Stash(device, layout, *session) : Stash(device, layout, 1)),
      executor(device, stage, stash, groups) {}

Decoder::State::State(Device& device, Arena& arena, const Stage& stage, const DecodePlan& plan)
    : rows(device, arena, plan.most_rows),
      slots(device, arena, {plan.cache, stage.chunk_size(), stage.vocab_size(), plan.keeps_seen}) {
  const std::int64_t most = std::min(plan.most_rows, plan.cache.slots);
  logits = arena.take(DType::f32, {most, stage.vocab_size()});
  if (plan.log_probs) log_probs = arena.take(DType::f32, {most});
  if (!plan.stops.empty()) stops = arena.take(DType::i32, {std::ssize(plan.stops)});
  if (!plan.bias.empty()) bias = arena.take(DType::f32, {std::ssize(plan.bias)});
}

std::size_t Decoder::state_bytes(Device& device, const Stage& stage, const DecodePlan& plan) {
  Arena measuring = Arena::measuring("decoding");
  const State state(device, measuring, stage, plan);
  return measuring.used() + Arena::kAlignment;
}

StashLayout Decoder::layout(Stage& stage, const DecodePlan& plan, std::int64_t rows) {
  return StashLayout(stage.layers(), BatchShape{rows, 1, Phase::decode, plan.cache, plan.compute},
                     StashMode::inference, stage.width());
}

std::size_t Decoder::bytes(Device& device, Stage& stage, const DecodePlan& plan) {
  std::size_t total = state_bytes(device, stage, plan);
  for (std::int64_t rows = 1; rows <= plan.most_rows; ++rows) {
    if (padded_rows(rows, plan.most_rows) != rows) continue;
    const StashLayout of_size = layout(stage, plan, rows);
    const std::size_t shared = rows > 1 ? of_size.bytes(StashLayout::session) : 0;
    total = checked_sum(total, of_size.total_bytes(1) - shared, "decoding");
  }
  return total;
}

Decoder::Decoder(Device& device, Stage& stage, DecodePlan plan, StageGroups* groups)
    : device_(device),
      stage_(stage),
      groups_(groups),
      plan_(std::move(plan)),
      memory_(device, state_bytes(device, stage, plan_), "decoding"),
      state_(device, memory_, stage, plan_) {
  CARAVAN_CHECK(plan_.bias.empty() || std::ssize(plan_.bias) == stage.vocab_size(), Error,
                fmt::format("a bias of {} logits (there are {})", plan_.bias.size(), stage.vocab_size()));
  device.fill_zero(Lane::compute, memory_.base(), memory_.capacity());
  copy_to(device, state_.stops, plan_.stops.data());
  copy_to(device, state_.bias, plan_.bias.data());
  const auto most = static_cast<std::size_t>(std::min(plan_.most_rows, plan_.cache.slots));
  for (Posted& posted : posted_) {
    posted.tokens.resize(most);
    posted.log_probs.resize(most);
    posted.results.reserve(most);
  }
  size(1);
}

Decoder::Size& Decoder::size(std::int64_t rows) {
  std::unique_ptr<Size>& made = sizes_[rows];
  if (!made)
    made = std::make_unique<Size>(device_, stage_, groups_, layout(stage_, plan_, rows),
                                  rows == 1 ? nullptr : &sizes_.at(1)->stash);
  return *made;
}

/// Where layers see chunks, a slot keeps one: rows of the next would overwrite what rows of this one read.
void Decoder::check_pieces(std::span<const DecodeRow> rows) const {
  const std::int64_t chunk = stage_.chunk_size();
  for (std::size_t row = 1; row < rows.size(); ++row) {
    const DecodeRow &before = rows[row - 1], &now = rows[row];
    if (before.slot != now.slot) continue;
    const bool fits = now.position == before.position + 1 && (chunk == 0 || now.position % chunk != 0);
    CARAVAN_CHECK(fits, Error,
                  fmt::format("rows of positions {} and {} in one step (not neighbours within a chunk of {})",
                              before.position, now.position, chunk));
  }
}

void Decoder::post(std::span<const DecodeRow> rows) {
  CARAVAN_CHECK(!rows.empty() && std::ssize(rows) <= plan_.most_rows, Error,
                fmt::format("a step of {} rows (planned for 1 to {})", rows.size(), plan_.most_rows));
  check_pieces(rows);
  state_.rows.put(rows, padded_rows(std::ssize(rows), plan_.most_rows));
  forward();
  draw();
  hand_over();
}

void Decoder::go_on() {
  state_.rows.advance(state_.stops, state_.slots.left());
  forward();
  draw();
}

/// The first step of a size goes on as it is written, which makes all that a captured one finds made.
void Decoder::post_again() {
  Size& now = size(state_.rows.size());
  if (plan_.is_alone && now.went_on && !now.again) now.again = device_.capture([this] { go_on(); });
  if (now.again)
    now.again->post();
  else
    go_on();
  now.went_on = true;
  hand_over();
}

void Decoder::forward() {
  const StepRows& rows = state_.rows;
  MicroBatch batch;
  batch.rows = {rows.tokens(),        rows.slots(),
                rows.positions(),     rows.answered().rows(0, most_answers()),
                state_.slots.pages(), state_.slots.chunk_pages()};
  if (rows.answers() > 0) batch.logits = state_.logits.rows(0, most_answers());
  size(rows.size()).executor.forward(batch);
}

TensorView Decoder::of_answers(const TensorView& array) const {
  return array.empty() ? array : array.rows(0, most_answers());
}

void Decoder::draw() {
  if (state_.rows.answers() == 0) return;
  device_.ops().sample_tokens({of_answers(state_.logits), of_answers(state_.rows.answer_slots()),
                               state_.slots.rules(), state_.bias, state_.slots.seen(), state_.slots.drawn(),
                               of_answers(state_.rows.drawn()), of_answers(state_.log_probs),
                               plan_.drawable});
}

/// What was drawn is on its way to the host.
void Decoder::hand_over() {
  CARAVAN_CHECK(num_posted_ < posted_.size(), Error, "three decode steps under way (two have room)");
  Posted& posted = posted_[(first_posted_ + num_posted_++) % posted_.size()];
  posted.answers = state_.rows.answers();
  if (posted.answers == 0) return;
  const TensorView drawn = of_answers(state_.rows.drawn()), log_probs = of_answers(state_.log_probs);
  device_.copy_to_host(Lane::compute, posted.tokens.data(), drawn.data, drawn.bytes());
  if (!log_probs.empty())
    device_.copy_to_host(Lane::compute, posted.log_probs.data(), log_probs.data, log_probs.bytes());
  posted.drawn = device_.record(Lane::compute);
}

std::span<const DrawnToken> Decoder::await() {
  CARAVAN_CHECK(num_posted_ > 0, Error, "a decode step is awaited (none is under way)");
  Posted& posted = posted_[first_posted_];
  first_posted_ = (first_posted_ + 1) % posted_.size();
  --num_posted_;
  posted.results.clear();
  if (posted.answers > 0) device_.await(posted.drawn);
  for (std::size_t row = 0; row < static_cast<std::size_t>(posted.answers); ++row)
    posted.results.push_back({posted.tokens[row], posted.log_probs[row]});
  return posted.results;
}

std::vector<float> Decoder::logits(std::int64_t answer) {
  std::vector<float> values(static_cast<std::size_t>(stage_.vocab_size()));
  const TensorView row = state_.logits.rows(answer, answer + 1);
  device_.copy_to_host(Lane::compute, values.data(), row.data, row.bytes());
  device_.synchronize();
  return values;
}

}  // namespace caravan
