#include "jobs/schedule/trace.hpp"

#include <fmt/format.h>

#include <iterator>

#include "core/plan/action_text.hpp"

namespace caravan::jobs {
namespace {

constexpr double kMicroseconds = 1e6;

/// "0F7 + 7B3": Perfetto colours and counts slices by name, so brackets would only be noise.
std::string name_of_step(const Step& step) {
  return to_string(step.action) + (step.overlapped ? " + " + to_string(*step.overlapped) : "");
}

std::string_view category_of(const Step& step) {
  return step.overlapped ? "overlap" : name_of(step.action.kind);
}

void append_event(std::string& text, std::size_t rank, const Step& step, const Span& span) {
  const auto out = std::back_inserter(text);
  fmt::format_to(out, R"(,
{{"name":"{}","cat":"{}","pid":{},"tid":0,"ts":{:.3f},)",
                 name_of_step(step), category_of(step), rank, span.begin * kMicroseconds);
  if (span.end > span.begin)
    fmt::format_to(out, R"("ph":"X","dur":{:.3f},)", (span.end - span.begin) * kMicroseconds);
  else
    text += R"("ph":"i","s":"t",)";
  fmt::format_to(out, R"("args":{{"stage":{},"microbatch":{}}}}})", step.action.stage,
                 step.action.microbatch);
}

}  // namespace

std::string to_trace(const Plan& plan, const Timeline& timeline) {
  std::string text = R"({"displayTimeUnit":"ms","traceEvents":[
{"name":"trace","ph":"M","pid":0,"args":{"name":"caravan"}})";
  for (std::size_t rank = 0; rank < plan.steps.size(); ++rank) {
    fmt::format_to(std::back_inserter(text), R"(,
{{"name":"process_name","ph":"M","pid":{0},"args":{{"name":"rank {0}"}}}},
{{"name":"process_sort_index","ph":"M","pid":{0},"args":{{"sort_index":{0}}}}})",
                   rank);
    for (std::size_t i = 0; i < plan.steps[rank].size(); ++i)
      append_event(text, rank, plan.steps[rank][i], timeline.spans.at(rank).at(i));
  }
  return text + "\n]}\n";
}

}  // namespace caravan::jobs
