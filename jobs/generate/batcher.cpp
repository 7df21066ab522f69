#include "jobs/generate/batcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"

namespace caravan::jobs {

Batcher::Batcher(const CacheShape& cache, std::int64_t chunk, std::int64_t most_rows,
                 std::vector<std::int32_t> stops)
    : cache_(cache), chunk_(chunk), most_rows_(most_rows), stops_(std::move(stops)), slots_(cache, chunk) {
  CARAVAN_CHECK(most_rows >= cache.slots, Error,
                fmt::format("steps of {} rows for {} sequences (each has one)", most_rows, cache.slots));
}

void Batcher::enqueue(Sequence sequence) {
  CARAVAN_CHECK(
      slots_.could_hold(sequence.positions()), ConfigError,
      fmt::format("a prompt of {} tokens and {} new ones (the cache holds sequences of {} positions, "
                  "and {} pages of {}). Fewer --max-new-tokens, or a shorter prompt?",
                  sequence.prompt.size(), sequence.most_tokens, cache_.positions, cache_.pages, cache_.page));
  waiting_.push_back({next_number_++, std::move(sequence), {}});
}

std::vector<Batcher::Running>::const_iterator Batcher::find(std::size_t number) const {
  return std::find_if(running_.begin(), running_.end(),
                      [&](const Running& each) { return each.number == number; });
}

void Batcher::join(Step& step) {
  const std::size_t before = running_.size();
  while (!waiting_.empty()) {
    auto slot = slots_.take(waiting_.front().sequence.positions());
    if (!slot) break;
    running_.push_back(std::move(waiting_.front()));
    running_.back().slot = std::move(*slot);
    waiting_.pop_front();
  }
  for (std::size_t at = before; at < running_.size(); ++at)
    step.starts.push_back({running_[at].slot, &running_[at].sequence});
}

/// As much of the prompt as there is room for, within one chunk.
void Batcher::add_piece(Running& running, Step& step, std::vector<std::size_t>& answered) {
  const std::vector<std::int32_t>& prompt = running.sequence.prompt;
  std::int64_t count = std::min(most_rows_ - std::ssize(step.rows), std::ssize(prompt) - running.fed);
  if (chunk_ > 0) count = std::min(count, chunk_ - running.fed % chunk_);
  for (std::int64_t i = 0; i < count; ++i, ++running.fed)
    step.rows.push_back({prompt[static_cast<std::size_t>(running.fed)], running.slot.slot,
                         static_cast<std::int32_t>(running.fed), running.fed + 1 == std::ssize(prompt)});
  if (count == 0 || !running.decodes()) return;
  ++running.posted;
  answered.push_back(running.number);
}

Batcher::Step Batcher::compose() {
  CARAVAN_CHECK(posted_.empty(), Error, "a decode step is composed while another is under way");
  Step step;
  std::vector<std::size_t> answered;
  join(step);
  for (Running& each : running_) {
    if (!each.decodes()) continue;
    step.rows.push_back({each.last, each.slot.slot, static_cast<std::int32_t>(each.fed++), true});
    ++each.posted;
    answered.push_back(each.number);
  }
  for (Running& each : running_)
    if (!each.decodes()) add_piece(each, step, answered);
  last_rows_ = step.rows.size();
  last_ = answered;
  posted_.push_back(std::move(answered));
  return step;
}

bool Batcher::goes_on() const {
  const bool is_pure = last_.size() == last_rows_ && last_rows_ > 0 && running_.size() == last_rows_;
  const bool may_join = !waiting_.empty() && slots_.has_room(waiting_.front().sequence.positions());
  return is_pure && !may_join && std::all_of(last_.begin(), last_.end(), [&](std::size_t number) {
           const auto running = find(number);
           return running != running_.end() && running->posted < running->sequence.most_tokens;
         });
}

void Batcher::post_again() {
  for (Running& each : running_) {
    ++each.fed;
    ++each.posted;
  }
  posted_.push_back(last_);
}

Batcher::End Batcher::end_of(const Running& running, std::int32_t token) const {
  if (std::find(stops_.begin(), stops_.end(), token) != stops_.end()) return End::stop;
  return running.taken == running.sequence.most_tokens ? End::length : End::none;
}

std::vector<Batcher::Drawn> Batcher::take(std::span<const DrawnToken> drawn) {
  const std::vector<std::size_t> numbers = std::move(posted_.front());
  posted_.pop_front();
  CARAVAN_EXPECT(numbers.size() == drawn.size());
  std::vector<Drawn> taken;
  for (std::size_t at = 0; at < numbers.size(); ++at) {
    const auto found = find(numbers[at]);
    if (found == running_.end()) continue;
    Running& running = running_[static_cast<std::size_t>(found - running_.begin())];
    running.last = drawn[at].token;
    const std::int64_t position = std::ssize(running.sequence.prompt) - 1 + running.taken++;
    taken.push_back(
        {running.number, static_cast<std::int64_t>(at), position, drawn[at], end_of(running, running.last)});
    if (taken.back().end != End::none) leave(found);
  }
  return taken;
}

void Batcher::finish(std::size_t number) {
  if (const auto found = find(number); found != running_.end()) leave(found);
}

void Batcher::leave(std::vector<Running>::const_iterator running) {
  slots_.give_back(running->slot);
  running_.erase(running);
}

}  // namespace caravan::jobs
