#include "jobs/inspect/tokens_view.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "caravan/check.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/inspect/names.hpp"
#include "jobs/inspect/token_data.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kUsual = 256, kMost = 1'000'000;

struct Stretch {
  std::int64_t begin = 0, end = 0;
};

std::int64_t bound_of(std::string_view text, std::int64_t otherwise, const std::string& range) {
  if (text.empty()) return otherwise;
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  CARAVAN_CHECK(problem == std::errc() && end == text.data() + text.size() && value >= 0, ConfigError,
                fmt::format("--tokens {} (two places such as 1000:1200)", range));
  return std::min(value, otherwise);
}

/// "BEGIN:END", cut at the number of tokens.
Stretch stretch_of(const std::string& range, std::int64_t size) {
  if (range.empty()) return {0, std::min(kUsual, size)};
  const std::size_t colon = range.find(':');
  CARAVAN_CHECK(colon != std::string::npos, ConfigError,
                fmt::format("--tokens {} (two places such as 1000:1200)", range));
  const std::string_view text = range;
  const Stretch stretch{text.substr(0, colon).empty() ? 0 : bound_of(text.substr(0, colon), size, range),
                        bound_of(text.substr(colon + 1), size, range)};
  CARAVAN_CHECK(stretch.begin < stretch.end && stretch.end - stretch.begin <= kMost, ConfigError,
                fmt::format("--tokens {} are {} of {} tokens (1 to {} are shown)", range,
                            std::max<std::int64_t>(stretch.end - stretch.begin, 0), size, kMost));
  return stretch;
}

/// Tokens of one document inside of the stretch.
struct Part {
  std::int64_t document, begin;  ///< document -1: before the first that begins here
  std::vector<std::int32_t> ids;
};

std::vector<Part> parts_of(const TokenData& data, const Stretch& stretch) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(stretch.end - stretch.begin));
  data.read(stretch.begin, ids);
  const auto starts = data.document_starts();
  auto next = std::upper_bound(starts.begin(), starts.end(), stretch.begin);
  std::vector<Part> parts;
  for (std::int64_t begin = stretch.begin; begin < stretch.end; ++next) {
    const std::int64_t end = next == starts.end() ? stretch.end : std::min(*next, stretch.end);
    const auto first = ids.begin() + (begin - stretch.begin);
    parts.push_back({next - starts.begin() - 1, begin, {first, first + (end - begin)}});
    begin = end;
    if (next == starts.end()) break;
  }
  return parts;
}

std::string text_of(const Part& part, const Tokenizer* tokenizer) {
  return tokenizer ? printable(tokenizer->decode(part.ids), TextKind::lines) + "\n"
                   : fmt::format("{}\n", fmt::join(part.ids, " "));
}

ordered_json to_json(const Part& part, const Tokenizer* tokenizer) {
  ordered_json object = {
      {"document", part.document}, {"begin", part.begin}, {"ids", part.ids}, {"text", nullptr}};
  if (tokenizer) object["text"] = tokenizer->decode(part.ids);
  return object;
}

}  // namespace

Report tokens_view(const std::string& path, const InspectOptions& options, const TextStyle& style) {
  const auto data = open_tokens(path);
  const TokenizerBeside beside = tokenizer_beside(path, *data);
  const Stretch stretch = stretch_of(options.range, data->size());
  const auto documents = static_cast<std::int64_t>(data->document_starts().size());
  Report report;
  report.text =
      fmt::format("{}\n  {} tokens in {} {}\n  shown: {} to {}{}\n",
                  painted(printable(path), Tone::strong, style.ink), with_commas(data->size()),
                  counted(documents, "document"), printable(data->origin()), with_commas(stretch.begin),
                  with_commas(stretch.end), beside.why.empty() ? "" : " as ids: " + printable(beside.why));
  report.json = {{"path", path},
                 {"tokens", data->size()},
                 {"documents", documents},
                 {"tokenizer_sha256", data->tokenizer_sha256()},
                 {"why_no_text", beside.why},
                 {"parts", ordered_json::array()}};
  for (const Part& part : parts_of(*data, stretch)) {
    const std::string head = fmt::format("document {} from token {}", part.document, part.begin);
    report.text +=
        "\n" + painted(head, Tone::accent, style.ink) + "\n" + text_of(part, beside.tokenizer.get());
    report.json["parts"].push_back(to_json(part, beside.tokenizer.get()));
  }
  return report;
}

}  // namespace caravan::jobs
