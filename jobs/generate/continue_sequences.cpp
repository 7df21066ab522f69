#include "jobs/generate/continue_sequences.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "jobs/setup/finite.hpp"

namespace caravan::jobs {
namespace {

[[noreturn]] void refuse_logits(Decoder& decoder, const Batcher::Drawn& drawn) {
  const std::vector<float> logits = decoder.logits(drawn.answer);
  const auto bad = find_not_finite(logits);
  const std::string which = bad ? fmt::format("{} of {}; the first, of token {}, is {}", bad->count,
                                              logits.size(), bad->first, name_of(*bad))
                                : "NaN or infinity, or every token is forbidden";
  throw NumericalError(fmt::format(
      "the logits after position {} are not finite ({}). Are the weights finite? `caravan inspect "
      "CHECKPOINT --stats` counts what is not",
      drawn.position, which));
}

void post(const Continuation& all, bool again) {
  if (again) {
    all.decoder.post_again();
    return all.batcher.post_again();
  }
  const Batcher::Step step = all.batcher.compose();
  for (const Batcher::Start& start : step.starts)
    all.decoder.begin(start.slot,
                      {start.sequence->sampling, start.sequence->most_tokens, start.sequence->prompt});
  all.decoder.post(step.rows);
}

/// [collective over world]
void take(const Continuation& all, std::vector<DrawnToken>& tokens) {
  const auto drawn = all.decoder.await();
  tokens.assign(drawn.begin(), drawn.end());
  if (all.world.size() > 1 && !tokens.empty()) {
    std::vector<std::int32_t> ids;
    for (const DrawnToken& each : tokens) ids.push_back(each.token);
    all.world.broadcast(TensorView(ids.data(), DType::i32, {std::ssize(ids)}), 0);
    for (std::size_t at = 0; at < ids.size(); ++at) tokens[at].token = ids[at];
  }
  for (const Batcher::Drawn& each : all.batcher.take(tokens)) {
    if (each.drawn.token == kNotDrawn) refuse_logits(all.decoder, each);
    if (all.take(each)) all.batcher.finish(each.number);
  }
}

}  // namespace

bool continue_sequences(const Continuation& all) {
  const bool is_alone = all.world.size() == 1;
  const std::size_t ahead = is_alone && all.device.memory() == Memory::device ? 1 : 0;
  std::vector<DrawnToken> tokens;
  while (!all.batcher.done()) {
    if (all.leaves()) return false;
    const bool goes_on = is_alone && all.batcher.goes_on();
    if (goes_on || all.batcher.under_way() == 0) post(all, goes_on);
    while (all.batcher.under_way() > (is_alone && all.batcher.goes_on() ? ahead : 0)) take(all, tokens);
  }
  while (all.batcher.under_way() > 0) take(all, tokens);
  return true;
}

}  // namespace caravan::jobs
