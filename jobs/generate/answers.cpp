#include "jobs/generate/answers.hpp"

#include <fmt/format.h>

#include <utility>

namespace caravan::jobs {

GrowingAnswers::GrowingAnswers(const GenerateOptions& options, const std::vector<Asked>& asked,
                               const Tokenizer* tokenizer, bool reports)
    : tokenizer_(tokenizer), report_(options, asked), reports_(reports), lets_go_(options.has_lines()) {
  for (const Asked& each : asked) answers_.emplace_back(tokenizer, each.stops);
  if (reports_) report_.begin(tokenizer != nullptr);
}

/// Since it was last asked.
double GrowingAnswers::seconds() {
  const auto now = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(now - std::exchange(start_, now)).count();
}

void GrowingAnswers::show(const std::string& text, std::optional<std::int32_t> token) {
  if (reports_) report_.piece(tokenizer_ ? text : token ? fmt::format("{} ", *token) : "");
}

bool GrowingAnswers::take(const Batcher::Drawn& drawn) {
  if (times_.prefill_s == 0) times_.prefill_s = seconds();
  Answer& answer = answers_[drawn.number];
  if (drawn.end != Batcher::End::stop) show(answer.push(drawn.drawn), drawn.drawn.token);
  if (drawn.end == Batcher::End::none && !answer.is_stopped()) return false;
  show(answer.finish(drawn.end == Batcher::End::stop ? "eos" : "length"), {});
  if (reports_) report_.whole(drawn.number, answer);
  if (lets_go_) answer = Answer(nullptr, {});
  return true;
}

void GrowingAnswers::end() {
  times_.decode_s = seconds();
  if (reports_) report_.end(times_);
}

}  // namespace caravan::jobs
