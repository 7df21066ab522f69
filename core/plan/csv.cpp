#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>

#include "caravan/check.hpp"
#include "caravan/schedule.hpp"
#include "core/base/config_scalar.hpp"
#include "core/plan/action_text.hpp"

namespace caravan {
namespace {

constexpr std::size_t kMostText = std::size_t{64} << 20;
constexpr std::size_t kMostRanks = 65536;
constexpr int kMostNumber = 1 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kOverlap = "OVERLAP_F_B";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// Takes what stands before the next `separator`, and the separator, off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

/// Reads the cells of one file; knows where it is for the messages.
class Reader {
 public:
  explicit Reader(std::string_view source) : source_(source) {}

  std::vector<Step> row(std::string_view line) {
    ++row_;
    column_ = 0;
    std::vector<Step> steps;
    while (!line.empty()) {
      ++column_;
      cell_ = trimmed(take_until(line, ','));
      if (!cell_.empty()) steps.push_back(step());
    }
    return steps;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw ConfigError(
        fmt::format("{}: row {}, column {}: {} is no action ({}). Write stage, kind and micro-batch, as in "
                    "2F0, 2SEND_F0, 2REDUCE_GRAD or (0F7;7B3)OVERLAP_F_B",
                    source_, row_, column_, shown(cell_), why));
  }

  Step step() const {
    if (cell_.front() != '(') return {action(cell_), {}};
    const std::size_t end = cell_.find(')');
    if (end == std::string_view::npos) refuse("no closing parenthesis");
    if (trimmed(cell_.substr(end + 1)) != kOverlap) refuse("OVERLAP_F_B must follow the parenthesis");
    std::string_view rest = cell_.substr(1, end - 1);
    const std::string_view first = take_until(rest, ';');
    if (rest.find(';') != std::string_view::npos) refuse("more than two actions overlap");
    return {action(trimmed(first)), action(trimmed(rest))};
  }

  Action action(std::string_view text) const {
    Action result;
    result.stage = number(text, "stage");
    const std::size_t length = std::min(text.find_first_of("0123456789"), text.size());
    const auto kind = kind_of(text.substr(0, length));
    if (!kind)
      refuse(
          "its kind is none of F, I, W, B, R, SEND_F, RECV_F, SEND_B, RECV_B, UNSHARD, RESHARD, "
          "REDUCE_GRAD");
    result.kind = *kind;
    text.remove_prefix(length);
    if (has_microbatch(result.kind)) result.microbatch = number(text, "micro-batch");
    if (!text.empty()) refuse(has_microbatch(result.kind) ? "something follows" : "it has no micro-batch");
    return result;
  }

  /// Takes it off the front of `text`.
  int number(std::string_view& text, const char* what) const {
    int value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::invalid_argument || text.front() == '-')
      refuse(fmt::format("it lacks the {}", what));
    if (error != std::errc{} || value >= kMostNumber)
      refuse(fmt::format("the {} must be less than {}", what, kMostNumber));
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
  }

  std::string_view source_, cell_;
  int row_ = 0, column_ = 0;
};

/// Empty lines at the end are no ranks.
void drop_empty_ranks_at_end(Plan& plan) {
  while (!plan.steps.empty() && plan.steps.back().empty()) plan.steps.pop_back();
}

}  // namespace

Plan parse_schedule_csv(std::string_view text, std::string_view source) {
  CARAVAN_CHECK(text.size() <= kMostText, ConfigError,
                fmt::format("{}: {} bytes (a schedule has at most {})", source, text.size(), kMostText));
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  Reader reader(source);
  Plan plan;
  while (!text.empty()) {
    CARAVAN_CHECK(plan.steps.size() < kMostRanks, ConfigError,
                  fmt::format("{}: more than {} rows (a row is a rank)", source, kMostRanks));
    plan.steps.push_back(reader.row(take_until(text, '\n')));
  }
  drop_empty_ranks_at_end(plan);
  CARAVAN_CHECK(!plan.steps.empty(), ConfigError,
                fmt::format("{}: no action (a schedule has a row a rank, and a cell an action)", source));
  return plan;
}

std::string to_csv(const Plan& plan) {
  std::string text;
  for (const std::vector<Step>& row : plan.steps) {
    for (const Step& step : row) {
      append_text(text, step);
      text += ',';
    }
    if (row.empty())
      text += '\n';
    else
      text.back() = '\n';
  }
  return text;
}

}  // namespace caravan
