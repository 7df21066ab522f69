#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/generate/prompt.hpp"

namespace caravan::jobs {

/// A prompt as a file gives it. What it does not say goes by the command line.
struct GivenPrompt {
  std::string text;
  std::vector<std::int32_t> tokens;  ///< where it is given as ids; then there is no text
  std::optional<std::uint64_t> seed;
  std::optional<std::int64_t> most_tokens;
  std::optional<std::vector<std::string>> stops;
  nlohmann::json id;  ///< a string or an integer that comes back with the answer, or null
  std::string place;  ///< "prompts.jsonl: line 3", for messages
};

/// The most stop strings of one prompt, and the most bytes of one.
inline constexpr std::size_t kMostStops = 16, kLongestStop = 1024;
/// ConfigError naming `place` where they are more, longer, or empty.
void check_stops(const std::vector<std::string>& stops, const std::string& place);

/// The prompts of a text, one a line: where its first character that is no white space is "{", JSON objects
/// with prompt or prompt_ids and, as they wish, seed, max_new_tokens, stop (a string or a list of some) and
/// id; otherwise each line is a prompt. A byte order mark before all is none of it. ConfigError naming
/// `where` and the line when one is empty or anything else.
std::vector<GivenPrompt> parse_prompts(
    std::string_view text, const std::string& where, const LeaveWhenAsked& leave_when_asked = [] {});

/// Those in `file`, or on standard input where that is "-": at most 256 MiB and 1,000,000 lines.
std::vector<GivenPrompt> read_prompts(const std::string& file, const LeaveWhenAsked& leave_when_asked);

}  // namespace caravan::jobs
