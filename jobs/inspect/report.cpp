#include "jobs/inspect/report.hpp"

#include "jobs/text_streams.hpp"

namespace caravan::jobs {

void print_report(const Report& report, ReportAs form) {
  if (form == ReportAs::text) return write_standard_output(report.text, TextKind::styled_lines);
  write_standard_output(report.json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace caravan::jobs
