#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "jobs/generate/answer.hpp"
#include "jobs/generate/asked.hpp"

namespace caravan::jobs {

/// How long it took.
struct GenerateTimes {
  double prefill_s = 0;  ///< until the first token
  double decode_s = 0;   ///< from then on
};

/// [rank 0] Shows answers in the order that they were asked for: as JSON lines, each as soon as those before
/// it are whole; or the one that there is, as it comes or as one JSON object. Borrows all.
class Report {
 public:
  Report(const GenerateOptions& options, const std::vector<Asked>& asked);

  /// Before anything has been made: the prompt that a text continues.
  void begin(bool has_text);
  /// A piece of an answer's text, or, without a tokenizer, its id.
  void piece(const std::string& text);
  /// An answer is whole.
  void whole(std::size_t number, const Answer& answer);
  /// All are, or nobody waits any more. Of several: counts and speed go to the log.
  void end(const GenerateTimes& times);

 private:
  std::string line(std::size_t number, const Answer& answer) const;
  std::string object(const Answer& answer, const GenerateTimes& times) const;
  void end_of_one(const GenerateTimes& times);

  const GenerateOptions& options_;
  const std::vector<Asked>& asked_;
  std::map<std::size_t, std::string> waiting_;  ///< lines behind one that is not whole
  std::size_t next_ = 0, tokens_ = 0;
  const Answer* single_ = nullptr;
};

}  // namespace caravan::jobs
