#include "core/base/yaml_problem.hpp"

#include <fmt/format.h>
#include <yaml-cpp/exceptions.h>

#include <algorithm>

#include "core/base/config_scalar.hpp"

namespace caravan {
namespace {

using Line = YamlScan::Line;
using Found = std::optional<YamlProblem>;

std::string_view content(const Line& line) {
  return line.text.substr(static_cast<std::size_t>(line.indent));
}

/// The colon that ends a key, from `from` on; npos when there is none.
std::size_t key_colon(std::string_view text, std::size_t from = 0) {
  for (std::size_t at = text.find(':', from); at != std::string_view::npos; at = text.find(':', at + 1)) {
    if (at + 1 == text.size() || text[at + 1] == ' ' || text[at + 1] == '\t') return at;
  }
  return std::string_view::npos;
}

bool is_list_entry(std::string_view text) {
  return text == "-" || text.starts_with("- ");
}

/// "key: value" on one line.
bool has_value(std::string_view text) {
  const std::size_t colon = key_colon(text);
  return colon != std::string_view::npos && colon + 1 < text.size();
}

char closing_of(char opening) {
  return opening == '[' ? ']' : '}';
}

/// A text, and the lines around the place where its parser stopped.
class Patient {
 public:
  Patient(const YamlScan& scan, const YamlStop& stop) : scan_(scan), stop_(stop) {
    const int last = static_cast<int>(scan_.lines.size());
    line_ = stop.line > 0 ? std::min(stop.line, last) : last;
    before_ = line_ - 1;
    while (before_ > 0 && at(before_).is_blank()) --before_;
  }

  YamlProblem problem() const {
    using Test = Found (Patient::*)() const;
    // What stands first explains what comes after it.
    for (const Test test :
         {&Patient::brackets, &Patient::quotes, &Patient::tabs, &Patient::first_characters, &Patient::colons,
          &Patient::text_behind_value, &Patient::list_among_keys, &Patient::indentation}) {
      if (Found found = line_ > 0 ? (this->*test)() : std::nullopt) return *std::move(found);
    }
    return {stop_.line, stop_.message};
  }

 private:
  const Line& at(int number) const { return scan_.lines[static_cast<std::size_t>(number) - 1]; }
  bool says(const char* message) const { return stop_.message == message; }

  Found brackets() const {
    if (scan_.stray) {
      const auto& [closing, opening] = *scan_.stray;
      if (!opening)
        return YamlProblem{closing.line, fmt::format("'{}' closes nothing. Remove it?", closing.character)};
      return YamlProblem{closing.line,
                         fmt::format("'{}' cannot close the '{}' of line {}. Write '{}'?", closing.character,
                                     opening->character, opening->line, closing_of(opening->character))};
    }
    if (scan_.brackets.empty() || scan_.quote) return std::nullopt;
    const YamlScan::Mark& open = scan_.brackets.back();
    return YamlProblem{open.line, fmt::format("'{}' is never closed. Add '{}'?", open.character,
                                              closing_of(open.character))};
  }

  Found quotes() const { return unclosed_quote(scan_); }

  Found tabs() const {
    const char* const kText = "a tab indents this line (YAML takes spaces only). Replace it by spaces?";
    for (const int number : {line_, before_}) {
      if (number > 0 && at(number).has_tab && at(number).is_block) return YamlProblem{number, kText};
    }
    return says(YAML::ErrorMsg::TAB_IN_INDENTATION) ? Found({line_, kText}) : std::nullopt;
  }

  Found first_characters() const {
    const auto column = static_cast<std::size_t>(std::max(stop_.column - 1, 0));
    const std::string_view text = at(line_).text;
    if (says(YAML::ErrorMsg::UNKNOWN_TOKEN) && column < text.size())
      return YamlProblem{line_,
                         fmt::format("a value cannot begin with '{}'. Put it in quotes?", text[column])};
    if (stop_.message.starts_with(YAML::ErrorMsg::INVALID_ESCAPE))
      return YamlProblem{line_,
                         fmt::format("{} (in double quotes a backslash begins an escape). Use single quotes?",
                                     stop_.message)};
    if (says(YAML::ErrorMsg::BLOCK_ENTRY))
      return YamlProblem{line_,
                         "a list begins behind its key (its entries stand on lines of their own). Write it "
                         "below, or as [a, b]?"};
    if (says(YAML::ErrorMsg::ALIAS_NOT_FOUND) || says(YAML::ErrorMsg::ANCHOR_NOT_FOUND))
      return YamlProblem{line_,
                         "a value begins with '*' or '&' (aliases and anchors are not allowed). Put it in "
                         "quotes?"};
    return std::nullopt;
  }

  /// Two on a line, or none on the line before, which the parser has joined with this one.
  Found colons() const {
    if (!says(YAML::ErrorMsg::MAP_VALUE)) return std::nullopt;
    const std::string_view text = content(at(line_));
    if (const std::size_t first = key_colon(text);
        first != std::string_view::npos && key_colon(text, first + 1) != std::string_view::npos)
      return YamlProblem{
          line_,
          fmt::format("{} has two colons with a space behind them. Put the value in quotes?", shown(text))};
    if (before_ == 0 || key_colon(content(at(before_))) != std::string_view::npos) return std::nullopt;
    return missing_colon(before_);
  }

  Found missing_colon(int number) const {
    const std::string_view text = content(at(number));
    if (is_list_entry(text)) return std::nullopt;
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos && colon > 0)
      return YamlProblem{
          number, fmt::format("{} lacks a space behind the colon. Write {}?", shown(text),
                              shown(fmt::format("{}: {}", text.substr(0, colon), text.substr(colon + 1))))};
    return YamlProblem{number, fmt::format("{} lacks a colon. Write 'key: value'?", shown(text))};
  }

  Found text_behind_value() const {
    const std::string_view text = at(line_).text;
    const auto column = static_cast<std::size_t>(std::max(stop_.column - 1, 0));
    const bool is_inside = says(YAML::ErrorMsg::END_OF_MAP) &&
                           column > static_cast<std::size_t>(at(line_).indent) && column < text.size();
    if (!is_inside) return std::nullopt;
    return YamlProblem{line_,
                       fmt::format("{} stands behind a value that has ended. Put the whole value in quotes?",
                                   shown(text.substr(column)))};
  }

  Found list_among_keys() const {
    const bool is_entry = is_list_entry(content(at(line_)));
    if (!is_entry || before_ == 0 || at(before_).indent < at(line_).indent ||
        is_list_entry(content(at(before_))))
      return std::nullopt;
    return YamlProblem{line_, "a list entry stands among keys. Indent it below its key?"};
  }

  Found indentation() const {
    if (!says(YAML::ErrorMsg::MAP_VALUE) && !says(YAML::ErrorMsg::END_OF_MAP) &&
        !says(YAML::ErrorMsg::END_OF_SEQ))
      return std::nullopt;
    if (before_ == 0) return std::nullopt;
    const int own = at(line_).indent, previous = at(before_).indent;
    if (own > previous && has_value(content(at(before_))))
      return YamlProblem{
          line_, fmt::format("this line is indented by {}, deeper than line {} ({}), which has a value "
                             "already. Indent both alike?",
                             own, before_, previous)};
    if (own >= previous) return std::nullopt;
    return YamlProblem{
        line_, fmt::format("this line is indented by {} (the lines above it by {}). Indent it like one "
                           "of them?",
                           own, indents_above())};
  }

  /// "0, 2 or 4": of the blocks that are open above the line.
  std::string indents_above() const {
    std::vector<int> open;
    for (int number = before_; number > 0; --number) {
      const Line& above = at(number);
      if (!above.is_blank() && above.is_block && (open.empty() || above.indent < open.back()))
        open.push_back(above.indent);
    }
    std::string text;
    for (std::size_t i = open.size(); i-- > 0;)
      text += fmt::format("{}{}", open[i], i > 1 ? ", " : i == 1 ? " or " : "");
    return text;
  }

  const YamlScan& scan_;
  const YamlStop& stop_;
  int line_ = 0, before_ = 0;  // where it stopped, and the line with content before it; 0: none
};

bool ends_document(const Line& line) {
  return line.indent == 0 && (line.text.starts_with("---") || line.text.starts_with("..."));
}

}  // namespace

YamlProblem explain(const YamlScan& scan, const YamlStop& stop) {
  return Patient(scan, stop).problem();
}

YamlProblem explain_rest(const YamlScan& scan) {
  const Line* first = nullptr;
  for (std::size_t i = 0; i < scan.lines.size(); ++i) {
    const Line& line = scan.lines[i];
    if (line.is_blank() || !line.is_block) continue;
    const int number = static_cast<int>(i) + 1;
    if (first && ends_document(line))
      return {number, "there is text after the first document (one document a file). Remove it?"};
    if (first && line.indent < first->indent)
      return {number, fmt::format("this line is indented by {}, less than the first ({}). Indent both alike?",
                                  line.indent, first->indent)};
    if (first && line.indent == first->indent && is_list_entry(content(*first)) &&
        !is_list_entry(content(line)))
      return {number, "a key stands among list entries. Is its indentation right?"};
    if (!first && !ends_document(line)) first = &line;
  }
  return {0, "there is text after the first document (one document a file). Remove it?"};
}

std::optional<YamlProblem> unclosed_quote(const YamlScan& scan) {
  if (!scan.quote) return std::nullopt;
  return YamlProblem{scan.quote->line,
                     fmt::format("the quote {} is never closed. Add another?", scan.quote->character)};
}

bool lacks_colon(const YamlScan& scan, int line) {
  const auto index = static_cast<std::size_t>(line) - 1;
  if (line < 1 || index >= scan.lines.size() || !scan.lines[index].is_block) return false;
  const std::string_view text = content(scan.lines[index]);
  return text.find(':') == std::string_view::npos && !text.starts_with('?');
}

}  // namespace caravan
