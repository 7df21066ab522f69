#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caravan/tokenizer.hpp"
#include "core/run/decoder.hpp"

namespace caravan::jobs {

/// What continues a prompt, as it comes: tokens, and their text up to a stop string.
class Answer {
 public:
  /// Borrows `tokenizer`, which may be null: then there is no text, and `stops` must be none.
  Answer(const Tokenizer* tokenizer, std::vector<std::string> stops);

  /// Adds a token. Returns the text that is certain now: what may be the beginning of a stop string waits.
  std::string push(const DrawnToken& drawn);
  /// The text holds a stop string; nothing may follow.
  bool is_stopped() const noexcept { return is_stopped_; }
  /// The end, for `reason`. Returns the text that waited.
  std::string finish(std::string reason);

  const std::vector<std::int32_t>& tokens() const noexcept { return tokens_; }
  const std::vector<float>& log_probs() const noexcept { return log_probs_; }  ///< one a token
  const std::string& text() const noexcept { return text_; }                   ///< without the stop string
  const std::string& reason() const noexcept { return reason_; }               ///< length, eos or stop

 private:
  std::string certain();
  std::size_t waiting_bytes() const;

  std::unique_ptr<StreamDecoder> decoder_;
  std::vector<std::string> stops_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> log_probs_;
  std::string text_, reason_;
  std::size_t shown_ = 0;  ///< bytes of the text that were returned
  bool is_stopped_ = false;
};

}  // namespace caravan::jobs
