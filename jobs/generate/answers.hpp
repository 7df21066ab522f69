#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "jobs/generate/batcher.hpp"
#include "jobs/generate/report.hpp"

namespace caravan::jobs {

/// Answers as they grow on every rank, and their report, which one rank alone gives. Borrows all.
class GrowingAnswers {
 public:
  /// `tokenizer` may be null. The clock of the report starts.
  GrowingAnswers(const GenerateOptions& options, const std::vector<Asked>& asked, const Tokenizer* tokenizer,
                 bool reports);

  /// A token of one of them. True: that one is whole.
  bool take(const Batcher::Drawn& drawn);
  /// All are whole, or nobody waits any more.
  void end();

 private:
  void show(const std::string& text, std::optional<std::int32_t> token);
  double seconds();

  const Tokenizer* tokenizer_;
  Report report_;
  bool reports_, lets_go_;  ///< of an answer that is whole: there may be many
  std::vector<Answer> answers_;
  GenerateTimes times_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace caravan::jobs
