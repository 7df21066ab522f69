#include "jobs/schedule/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

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

enum Row : std::size_t { kActions, kLayers, kFirstLane };

void append_row_name(std::string& text, std::size_t rank, std::size_t row, const std::string& name) {
  fmt::format_to(std::back_inserter(text), R"(,
{{"name":"thread_name","ph":"M","pid":{0},"tid":{1},"args":{{"name":"{2}"}}}},
{{"name":"thread_sort_index","ph":"M","pid":{0},"tid":{1},"args":{{"sort_index":{1}}}}})",
                 rank, row, name);
}

void append_item(std::string& text, std::size_t rank, std::size_t row, const StepDetails::Item& item) {
  const auto quoted = [](const std::string& name) { return nlohmann::json(name).dump(); };
  fmt::format_to(std::back_inserter(text), R"(,
{{"name":{},"cat":"{}","pid":{},"tid":{},"ts":{:.3f},"ph":"X","dur":{:.3f},"args":{{"layer":{}}}}})",
                 quoted(item.name), name_of(item.kind), rank, row, item.span.begin * kMicroseconds,
                 (item.span.end - item.span.begin) * kMicroseconds, quoted(item.layer));
}

/// As many rows from `first` on as exchanges of the lane are under way at once; the row behind them.
std::size_t append_lane(std::string& text, std::size_t rank, std::size_t first, const std::string& lane,
                        const std::vector<StepDetails::Item>& exchanges) {
  const std::vector<std::size_t> rows = rows_of(exchanges);
  for (std::size_t index = 0; index < rows.size(); ++index)
    append_item(text, rank, first + rows[index], exchanges[index]);
  const std::size_t lanes = rows.empty() ? 0 : *std::max_element(rows.begin(), rows.end()) + 1;
  for (std::size_t row = 0; row < lanes; ++row)
    append_row_name(text, rank, first + row,
                    row == 0 ? lane : fmt::format("{}, {} under way", lane, row + 1));
  return first + lanes;
}

/// Slices of one row must not overlap.
void append_details(std::string& text, std::size_t rank, const StepDetails& details) {
  append_row_name(text, rank, kActions, "actions");
  append_row_name(text, rank, kLayers, "layers");
  for (const StepDetails::Item& visit : details.visits) append_item(text, rank, kLayers, visit);
  constexpr std::pair<Lane, const char*> kLanesShown[] = {
      {Lane::shard, "shard lane"}, {Lane::expert, "expert lane"}, {Lane::tensor, "tensor lane"}};
  std::size_t next = kFirstLane;
  for (const auto& [lane, name] : kLanesShown) {
    std::vector<StepDetails::Item> of_lane;
    std::copy_if(details.exchanges.begin(), details.exchanges.end(), std::back_inserter(of_lane),
                 [lane = lane](const StepDetails::Item& item) { return item.lane == lane; });
    next = append_lane(text, rank, next, name, of_lane);
  }
}

}  // namespace

std::string to_trace(const Plan& plan, const Timeline& timeline, const std::vector<StepDetails>& details) {
  std::string text = R"({"displayTimeUnit":"ms","traceEvents":[
{"name":"trace","ph":"M","pid":0,"args":{"name":"caravan"}})";
  for (std::size_t rank = 0; rank < plan.steps.size(); ++rank) {
    fmt::format_to(std::back_inserter(text), R"(,
{{"name":"process_name","ph":"M","pid":{0},"args":{{"name":"rank {0}"}}}},
{{"name":"process_sort_index","ph":"M","pid":{0},"args":{{"sort_index":{0}}}}})",
                   rank);
    for (std::size_t i = 0; i < plan.steps[rank].size(); ++i)
      append_event(text, rank, plan.steps[rank][i], timeline.spans.at(rank).at(i));
    if (!details.empty()) append_details(text, rank, details.at(rank));
  }
  return text + "\n]}\n";
}

}  // namespace caravan::jobs
