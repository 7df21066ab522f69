#include "jobs/train/timeline_recorder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "core/plan/measured_costs.hpp"
#include "core/run/message_tags.hpp"
#include "io/files/pending_file.hpp"
#include "jobs/schedule/svg.hpp"
#include "jobs/schedule/trace.hpp"
#include "jobs/setup/gather.hpp"

namespace caravan::jobs {
namespace {

TensorView view_of(std::vector<double>& values) {
  return TensorView(values.data(), DType::f64, {static_cast<std::int64_t>(values.size())});
}

std::vector<double> flat(const std::vector<Span>& spans) {
  std::vector<double> values;
  for (const Span& span : spans) values.insert(values.end(), {span.begin, span.end});
  return values;
}

nlohmann::json json_of(const std::vector<RunRecorder::Item>& items) {
  nlohmann::json json = nlohmann::json::array();
  for (const RunRecorder::Item& item : items)
    json.push_back({static_cast<int>(item.kind), item.name, item.layer, item.span.begin, item.span.end,
                    static_cast<int>(item.lane)});
  return json;
}

std::vector<StepDetails::Item> items_of(const nlohmann::json& json) {
  std::vector<StepDetails::Item> items;
  for (const nlohmann::json& item : json)
    items.push_back({static_cast<ActionKind>(item[0].get<int>()),
                     item[1],
                     item[2],
                     {item[3], item[4]},
                     static_cast<Lane>(item[5].get<int>())});
  return items;
}

void write_file(const std::string& path, const std::string& text) {
  io::write_output(path, text, io::NamedBy::us);
}

}  // namespace

Plan lowered_plan(const TrainSetup& setup) {
  const PipelineSetup& pipeline = setup.pipeline();
  Plan plan;
  for (int rank = 0; rank < pipeline.schedule.ranks(); ++rank) {
    plan.steps.push_back(lower(pipeline.schedule, pipeline.training.microbatches, rank,
                               setup.job().train.recompute.of_stages(), pipeline.unsharding)
                             .row);
  }
  return plan;
}

Timeline gather_timeline(const Plan& lowered, const Executor& executor, Communicator& pipeline) {
  Timeline timeline;
  std::vector<double> mine = flat(executor.spans());
  if (pipeline.rank() != 0) {
    Ticket ticket = pipeline.post_send(view_of(mine), 0, kTimelineTag);
    pipeline.wait(ticket);
    return timeline;
  }
  for (int rank = 0; rank < pipeline.size(); ++rank) {
    std::vector<double> values = mine;
    if (rank > 0) {
      values.resize(2 * lowered.steps[static_cast<std::size_t>(rank)].size());
      Ticket ticket = pipeline.post_recv(view_of(values), rank, kTimelineTag);
      pipeline.wait(ticket);
    }
    std::vector<Span>& spans = timeline.spans.emplace_back();
    for (std::size_t at = 0; at < values.size(); at += 2) spans.push_back({values[at], values[at + 1]});
    for (const Span& span : spans) timeline.makespan = std::max(timeline.makespan, span.end);
  }
  return timeline;
}

std::vector<StepDetails> gather_details(const RunRecorder& recorder, Communicator& pipeline) {
  const auto mine = nlohmann::json::array({json_of(recorder.visits()), json_of(recorder.exchanges())});
  std::vector<StepDetails> details;
  for (const std::string& text : gather_texts(pipeline, mine.dump())) {
    const auto both = nlohmann::json::parse(text);
    details.push_back({items_of(both[0]), items_of(both[1])});
  }
  return details;
}

void TimelineRecorder::before(std::int64_t step, Executor& executor) {
  if (!is_chosen(step)) return;
  executor.measure(Executor::Timing::visits);
  setup_.pipeline_ranks().host.barrier();
}

void TimelineRecorder::after(std::int64_t step, Executor& executor) {
  if (!is_chosen(step)) return;
  executor.measure(Executor::Timing::off);
  if (setup_.mesh().coordinate(MeshAxis::rows) != 0) return;
  const Plan plan = lowered_plan(setup_);
  const Timeline timeline = gather_timeline(plan, executor, setup_.pipeline_ranks().host);
  const auto details = gather_details(executor.recorder(), setup_.pipeline_ranks().host);
  if (setup_.pipeline_ranks().host.rank() != 0) return;
  try {
    write(step, {plan, timeline, details});
  } catch (const IoError& error) {
    log_warning(fmt::format("the timeline of step {} is lost, training goes on: {}", step, error.what()));
  }
}

void TimelineRecorder::write(std::int64_t step, const MeasuredStep& measured) {
  const std::string title = fmt::format("{}, step {}", setup_.job().parallel.schedule, step);
  const std::string& output = setup_.job().output;
  const std::string stem = output + "/timeline-" + std::to_string(step);
  write_file(stem + ".svg",
             draw_svg(measured.plan, measured.timeline, {title + ", measured", "s"}, measured.details));
  write_file(stem + ".json", to_trace(measured.plan, measured.timeline, measured.details));
  const Timeline simulated = simulate(measured.plan, measured_costs(measured.plan, {measured.timeline}));
  write_file(output + "/plan-" + std::to_string(step) + ".svg",
             draw_svg(measured.plan, simulated, {title + ", simulated with the measured costs", "s"}));
  log_info(fmt::format(
      "timeline of step {}: {:.4f} s, {:.1f} % idle (simulated with its costs: {:.4f} s, {:.1f} %), {}.svg",
      step, measured.timeline.makespan, 100 * measured.timeline.bubble(), simulated.makespan,
      100 * simulated.bubble(), stem));
}

}  // namespace caravan::jobs
