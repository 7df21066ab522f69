#include "jobs/generate/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "caravan/log.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string dumped(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

double speed(std::size_t tokens, double seconds) {
  return static_cast<double>(tokens) / std::max(seconds, 1e-9);
}

}  // namespace

Report::Report(const GenerateOptions& options, const std::vector<Asked>& asked)
    : options_(options), asked_(asked) {}

void Report::begin(bool has_text) {
  if (!options_.has_lines() && !options_.json && has_text) write_standard_output(options_.prompt);
}

void Report::piece(const std::string& text) {
  if (!options_.has_lines() && !options_.json) write_standard_output(text);
}

std::string Report::line(std::size_t number, const Answer& answer) const {
  const Asked& asked = asked_[number];
  OrderedJson line{{"prompt", asked.prompt}, {"sample", asked.sample}};
  if (!asked.id.is_null()) line["id"] = asked.id;
  line["prompt_tokens"] = asked.sequence.prompt.size();
  line["ids"] = answer.tokens();
  line["text"] = answer.text();
  line["stop"] = answer.reason();
  if (options_.log_probs) line["logprobs"] = answer.log_probs();
  return dumped(line) + "\n";
}

/// A line is written in one piece, so that whoever ends the program cuts none.
void Report::whole(std::size_t number, const Answer& answer) {
  tokens_ += answer.tokens().size();
  if (!options_.has_lines()) {
    single_ = &answer;
    return;
  }
  waiting_[number] = line(number, answer);
  for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_; ++next_) {
    write_standard_output(first->second);
    first = waiting_.erase(first);
  }
}

std::string Report::object(const Answer& answer, const GenerateTimes& times) const {
  if (options_.conversation) return options_.conversation->with_answer(answer.text());
  nlohmann::json object{
      {"prompt_ids", asked_.front().sequence.prompt},
      {"ids", answer.tokens()},
      {"text", answer.text()},
      {"stop", answer.reason()},
      {"prefill_s", times.prefill_s},
      {"decode_tokens_per_s", times.decode_s > 0 ? speed(answer.tokens().size(), times.decode_s) : 0.0}};
  if (options_.log_probs) object["logprobs"] = answer.log_probs();
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void Report::end(const GenerateTimes& times) {
  if (!options_.has_lines()) return single_ ? end_of_one(times) : void();
  log_info(fmt::format("{} of {} answers, {} tokens at {:.1f} tokens/s", next_, asked_.size(), tokens_,
                       speed(tokens_, times.prefill_s + times.decode_s)));
}

/// A conversation has no place for how it went, so that the log says it.
void Report::end_of_one(const GenerateTimes& times) {
  write_standard_output((options_.json ? object(*single_, times) : "") + "\n");
  if (options_.json && !options_.conversation) return;
  log_info(fmt::format("{} prompt tokens in {:.2f} s, {} tokens at {:.1f} tokens/s, stopped by {}",
                       asked_.front().sequence.prompt.size(), times.prefill_s, tokens_,
                       speed(tokens_, times.decode_s), single_->reason()));
}

}  // namespace caravan::jobs
