#include "jobs/generate/answer.hpp"

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"

namespace caravan::jobs {

Answer::Answer(const Tokenizer* tokenizer, std::vector<std::string> stops) : stops_(std::move(stops)) {
  CARAVAN_EXPECT(tokenizer || stops_.empty());
  if (tokenizer) decoder_ = std::make_unique<StreamDecoder>(*tokenizer);
}

std::string Answer::push(const DrawnToken& drawn) {
  tokens_.push_back(drawn.token);
  log_probs_.push_back(drawn.log_prob);
  if (decoder_) text_ += decoder_->push(drawn.token);
  return certain();
}

std::string Answer::finish(std::string reason) {
  if (decoder_ && !is_stopped_) text_ += decoder_->finish();
  std::string rest = certain();
  const std::size_t from = std::exchange(shown_, text_.size());
  rest += text_.substr(from);
  reason_ = is_stopped_ ? "stop" : std::move(reason);
  return rest;
}

/// Looks where a stop string may have been completed: it begins among what was not returned.
std::string Answer::certain() {
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, text_.find(stop, shown_));
  if (first != std::string::npos) {
    is_stopped_ = true;
    text_.resize(first);
  }
  const std::size_t until = text_.size() - (is_stopped_ ? 0 : waiting_bytes());
  const std::size_t from = std::exchange(shown_, until);
  return text_.substr(from, until - from);
}

/// The longest end of the text that a stop string begins with.
std::size_t Answer::waiting_bytes() const {
  std::size_t longest = 0;
  const std::string_view waiting = std::string_view(text_).substr(shown_);
  for (const std::string& stop : stops_) {
    for (std::size_t length = std::min(stop.size() - 1, waiting.size()); length > longest; --length) {
      if (waiting.ends_with(std::string_view(stop).substr(0, length))) longest = length;
    }
  }
  return longest;
}

}  // namespace caravan::jobs
