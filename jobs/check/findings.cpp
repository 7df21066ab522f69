#include "jobs/check/findings.hpp"

#include <fmt/format.h>

#include "jobs/text_streams.hpp"

namespace caravan::jobs {

void Findings::add(bool holds, std::string_view claim, std::string_view evidence) {
  ++tried_;
  if (!holds) ++wrong_;
  if (prints_)
    write_standard_output(holds ? fmt::format("ok     {}\n", claim)
                                : fmt::format("WRONG  {}: {}\n", claim, evidence));
}

void Findings::leave_out(std::string_view claim, std::string_view why) {
  if (prints_) write_standard_output(fmt::format("-      {}: not tried ({})\n", claim, why));
}

}  // namespace caravan::jobs
