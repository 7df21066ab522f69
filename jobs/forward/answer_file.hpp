#pragma once

#include <string>

#include "io/safetensors/reader.hpp"
#include "jobs/forward/forward_pass.hpp"

namespace caravan::jobs {

/// Writes logits [B, T, V], loss [1] and router.<layer> [B·T, E].
void write_answers(const std::string& path, const Sequences& sequences, Answers& answers, std::int64_t vocab);

/// Answers in a safetensors file, of `caravan forward` or of another program.
class AnswerFile {
 public:
  /// IoError without logits [B, T, V]. Where it has logits_f64 too, those are the logits: they are more
  /// exact.
  explicit AnswerFile(const std::string& path);

  const std::string& path() const noexcept { return file_.path(); }
  const std::string& logits_name() const noexcept { return logits_; }
  std::int64_t vocab() const { return shape_[2]; }
  bool has_loss() const noexcept { return file_.has("loss"); }
  /// IoError unless they are answers to these sequences, which stand in the file `inputs`: as many and as
  /// long, and of the same values where the inputs stand beside the answers.
  void check_answers(const Sequences& sequences, const std::string& inputs) const;
  /// After check_answers. The loss is computed from the logits where the file has none.
  Answers read(const Sequences& sequences) const;

 private:
  Answers::Router router(const std::string& name, std::int64_t tokens) const;

  io::SafetensorsFile file_;
  std::string logits_;
  Shape shape_;
};

}  // namespace caravan::jobs
