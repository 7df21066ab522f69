#pragma once

#include <optional>
#include <string>

#include "core/base/yaml_scan.hpp"

namespace caravan {

/// What is wrong with a YAML text, where, and what would be right.
struct YamlProblem {
  int line = 0;  ///< from 1; 0: the whole text
  std::string text;
};

/// Where a parser stopped, and what it says.
struct YamlStop {
  int line = 0, column = 0;  ///< from 1; 0: unknown
  std::string message;
};

/// The cause of a stop in a user's words: tabs, brackets and quotes that are not closed, indentation, colons.
/// The parser's own message where it knows no better.
YamlProblem explain(const YamlScan& scan, const YamlStop& stop);

/// The same for a text of which the parser left something over.
YamlProblem explain_rest(const YamlScan& scan);

/// A quote that is never closed.
std::optional<YamlProblem> unclosed_quote(const YamlScan& scan);

/// Whether line `line` lacks the colon of a key: yaml-cpp takes it for a key without a value.
bool lacks_colon(const YamlScan& scan, int line);

}  // namespace caravan
