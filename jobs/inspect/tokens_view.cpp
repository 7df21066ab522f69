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

struct TokenRange {
  std::int64_t begin = 0, end = 0;
};

std::int64_t bound_of(std::string_view text, std::int64_t otherwise, const std::string& option) {
  if (text.empty()) return otherwise;
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  CARAVAN_CHECK(problem == std::errc() && end == text.data() + text.size() && value >= 0, ConfigError,
                fmt::format("--tokens {} (two places such as 1000:1200)", option));
  return std::min(value, otherwise);
}

/// "BEGIN:END", cut at the number of tokens.
TokenRange range_of(const std::string& option, std::int64_t size) {
  if (option.empty()) return {0, std::min(kUsual, size)};
  const std::size_t colon = option.find(':');
  CARAVAN_CHECK(colon != std::string::npos, ConfigError,
                fmt::format("--tokens {} (two places such as 1000:1200)", option));
  const std::string_view text = option;
  const TokenRange range{text.substr(0, colon).empty() ? 0 : bound_of(text.substr(0, colon), size, option),
                         bound_of(text.substr(colon + 1), size, option)};
  CARAVAN_CHECK(range.begin < range.end && range.end - range.begin <= kMost, ConfigError,
                fmt::format("--tokens {} are {} of {} tokens (1 to {} are shown)", option,
                            std::max<std::int64_t>(range.end - range.begin, 0), size, kMost));
  return range;
}

/// Tokens of one document inside of the range.
struct Part {
  std::int64_t document, begin;  ///< document -1: before the first that begins here
  std::vector<std::int32_t> ids;
};

std::vector<Part> parts_of(const TokenData& data, const TokenRange& range) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(range.end - range.begin));
  data.read(range.begin, ids);
  const auto starts = data.document_starts();
  auto next = std::upper_bound(starts.begin(), starts.end(), range.begin);
  std::vector<Part> parts;
  for (std::int64_t begin = range.begin; begin < range.end; ++next) {
    const std::int64_t end = next == starts.end() ? range.end : std::min(*next, range.end);
    const auto first = ids.begin() + (begin - range.begin);
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
  const TokenRange range = range_of(options.range, data->size());
  const auto documents = static_cast<std::int64_t>(data->document_starts().size());
  Report report;
  report.text =
      fmt::format("{}\n  {} tokens in {} {}\n  shown: {} to {}{}\n",
                  painted(printable(path), Tone::strong, style.ink), with_commas(data->size()),
                  counted(documents, "document"), printable(data->origin()), with_commas(range.begin),
                  with_commas(range.end), beside.why.empty() ? "" : " as ids: " + printable(beside.why));
  report.json = {{"path", path},
                 {"tokens", data->size()},
                 {"documents", documents},
                 {"tokenizer_sha256", data->tokenizer_sha256()},
                 {"why_no_text", beside.why},
                 {"parts", ordered_json::array()}};
  for (const Part& part : parts_of(*data, range)) {
    const std::string head = fmt::format("document {} from token {}", part.document, part.begin);
    report.text +=
        "\n" + painted(head, Tone::accent, style.ink) + "\n" + text_of(part, beside.tokenizer.get());
    report.json["parts"].push_back(to_json(part, beside.tokenizer.get()));
  }
  return report;
}

}  // namespace caravan::jobs
