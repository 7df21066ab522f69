#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace caravan::jobs {

/// What a view found, for people, for programs and as a picture.
struct Report {
  std::string text;
  nlohmann::ordered_json json;
  std::string svg;  ///< empty for a view that has no picture
  int exit_code = 0;
};

enum class ReportAs { text, json };
/// Text that may be coloured, or one JSON object, to standard output.
void print_report(const Report& report, ReportAs form);

}  // namespace caravan::jobs
