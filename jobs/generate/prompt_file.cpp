#include "jobs/generate/prompt_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostBytes = std::size_t{256} << 20, kMostLines = 1000000;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr int kMostLevels = 4;
constexpr const char* kForm = R"({"prompt": "Once upon a time"})";
const std::set<std::string> kKeys{"prompt", "prompt_ids", "seed", "max_new_tokens", "stop", "id"};

/// Refuses depth without end, and a key that stands twice, of which a parser takes one.
class Strictly {
 public:
  explicit Strictly(const std::string& place) : place_(place) {}
  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    CARAVAN_CHECK(
        depth <= kMostLevels, ConfigError,
        fmt::format("{}: more than {} levels (a prompt has 2). As in {}?", place_, kMostLevels, kForm));
    if (event == Json::parse_event_t::key && depth == 1)
      CARAVAN_CHECK(keys_.insert(value.get<std::string>()).second, ConfigError,
                    fmt::format("{}: '{}' stands twice (which of them counts?). Remove one?", place_,
                                value.get<std::string>()));
    return true;
  }

 private:
  const std::string& place_;
  std::set<std::string> keys_;
};

/// One line, read key by key.
class PromptLine {
 public:
  PromptLine(std::string_view line, const std::string& place) : place_(place) {
    try {
      object_ = Json::parse(line, Strictly(place));
    } catch (const Json::exception& error) {
      fail(fmt::format("not JSON ({})", error.what()), fmt::format("A line is {}?", kForm));
    }
    if (!object_.is_object())
      fail(fmt::format("of type {} (a prompt is an object)", object_.type_name()), kForm);
    for (const auto& [key, value] : object_.items())
      if (!kKeys.contains(key))
        fail(fmt::format("'{}' (only {} count, and nothing is passed over)", key, fmt::join(kKeys, ", ")),
             "Leave it out?");
    if (object_.contains("prompt") == object_.contains("prompt_ids"))
      fail("prompt and prompt_ids (one of them is needed)", fmt::format("As in {}?", kForm));
  }

  GivenPrompt read() const {
    GivenPrompt prompt;
    prompt.place = place_;
    if (object_.contains("prompt")) prompt.text = text("prompt", object_.at("prompt"));
    if (object_.contains("prompt_ids")) prompt.tokens = tokens();
    if (object_.contains("seed")) prompt.seed = static_cast<std::uint64_t>(integer("seed", 0, INT64_MAX));
    if (object_.contains("max_new_tokens")) prompt.most_tokens = integer("max_new_tokens", 1, 16777215);
    if (object_.contains("stop")) prompt.stops = stops();
    if (object_.contains("id")) prompt.id = id();
    return prompt;
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& remedy) const {
    throw ConfigError(fmt::format("{}: {}. {}", place_, problem, remedy));
  }
  std::string text(const char* key, const Json& value) const {
    if (!value.is_string())
      fail(fmt::format("'{}' of type {} (a string)", key, value.type_name()), "Quote it?");
    std::string read = value.get<std::string>();
    if (read.empty()) fail(fmt::format("'{}' is empty (nothing to go by)", key), "Leave the line out?");
    return read;
  }
  std::int64_t number(const char* key, const Json& value, std::int64_t least, std::int64_t most) const {
    const bool fits =
        value.is_number_unsigned() && value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most);
    if (!fits || value.get<std::int64_t>() < least)
      fail(fmt::format("'{}' is {} (an integer in [{}, {}])", key,
                       value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 64), least, most),
           "Is it one?");
    return value.get<std::int64_t>();
  }
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) const {
    return number(key, object_.at(key), least, most);
  }
  std::vector<std::int32_t> tokens() const {
    const Json& list = object_.at("prompt_ids");
    if (!list.is_array() || list.empty()) fail("'prompt_ids' (a list of token ids)", "As in [1, 2, 3]?");
    std::vector<std::int32_t> ids;
    for (const Json& each : list)
      ids.push_back(static_cast<std::int32_t>(number("prompt_ids", each, 0, INT32_MAX - 1)));
    return ids;
  }
  std::vector<std::string> stops() const {
    const Json& given = object_.at("stop");
    std::vector<std::string> all;
    if (!given.is_array()) all.push_back(text("stop", given));
    if (given.is_array())
      for (const Json& each : given) all.push_back(text("stop", each));
    check_stops(all, place_);
    return all;
  }
  Json id() const {
    const Json& given = object_.at("id");
    if (!given.is_string() && !given.is_number_integer())
      fail(fmt::format("'id' of type {} (a string or an integer)", given.type_name()), "Is it one?");
    return given;
  }

  const std::string& place_;
  Json object_;
};

GivenPrompt prompt_of(std::string_view line, bool is_json, const std::string& place) {
  CARAVAN_CHECK(!line.empty(), ConfigError,
                fmt::format("{} is empty (each line is a prompt). Leave it out?", place));
  if (is_json) return PromptLine(line, place).read();
  GivenPrompt prompt;
  prompt.text = line;
  prompt.place = place;
  return prompt;
}

}  // namespace

void check_stops(const std::vector<std::string>& stops, const std::string& place) {
  CARAVAN_CHECK(stops.size() <= kMostStops, ConfigError,
                fmt::format("{}: {} stop strings (at most {} are looked for). Fewer?", place, stops.size(),
                            kMostStops));
  for (const std::string& stop : stops)
    CARAVAN_CHECK(!stop.empty() && stop.size() <= kLongestStop, ConfigError,
                  fmt::format("{}: a stop string of {} bytes (1 to {} are looked for). Is it the right one?",
                              place, stop.size(), kLongestStop));
}

std::vector<GivenPrompt> parse_prompts(std::string_view text, const std::string& where,
                                       const LeaveWhenAsked& leave_when_asked) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string_view::npos && text[first] == '{';
  std::vector<GivenPrompt> prompts;
  while (!text.empty()) {
    leave_when_asked();
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    CARAVAN_CHECK(prompts.size() < kMostLines, ConfigError,
                  fmt::format("{} has more than {} lines (so many prompts are taken at once). In parts?",
                              where, kMostLines));
    prompts.push_back(prompt_of(line, is_json, fmt::format("{}: line {}", where, prompts.size() + 1)));
  }
  CARAVAN_CHECK(!prompts.empty(), ConfigError,
                fmt::format("{} is empty (each line is a prompt). Is it the right file?", where));
  return prompts;
}

std::vector<GivenPrompt> read_prompts(const std::string& file, const LeaveWhenAsked& leave_when_asked) {
  const std::string text = text_of_file(
      file, {"list of prompts", "--prompts is -", "Give --prompts FILE", kMostBytes, leave_when_asked});
  return parse_prompts(text, file == "-" ? "standard input" : file, leave_when_asked);
}

}  // namespace caravan::jobs
