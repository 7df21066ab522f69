#include "jobs/bench/pipeline_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "caravan/error.hpp"
#include "jobs/bench/pipeline.hpp"
#include "jobs/bench/rank_devices.hpp"
#include "jobs/bench/synthetic_options.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  ModelOptions model{"cpu-512", {"layers=7"}};
  std::vector<std::string> schedules;
  PipelineBenchmark benchmark;
  bool json = false;
};

/// A schedule that these numbers do not suit, and why.
struct Refused {
  std::string schedule, why;
};

struct Results {
  RankDevices devices;
  std::vector<PipelineTiming> timings;
  std::vector<Refused> refused;
};

double difference(const PipelineTiming& timing) {
  return timing.simulated_s / timing.walks_s - 1;
}

double share_of_peak(const PipelineTiming& timing, const FmaPeak& peak) {
  return timing.step_flops / timing.step_s / peak.flops_per_s;
}

/// All that are installed, but csv, which needs a file.
std::vector<std::string> installed_schedules() {
  const auto registry = make_registry();
  std::vector<std::string> names = registry->names(Schedule::kKind);
  std::erase(names, "csv");
  return names;
}

Results measure_all(const Options& options, Communicator& world) {
  Results results;
  {
    const auto registry = make_registry();
    results.devices = measure_rank_devices(*choose_device(*registry, options.benchmark.job.device), world);
  }
  PipelineBenchmark benchmark = options.benchmark;
  for (const std::string& name : options.schedules.empty() ? installed_schedules() : options.schedules) {
    benchmark.schedule = name;
    try {
      results.timings.push_back(time_pipeline(benchmark, world));
    } catch (const ConfigError& error) {  // thrown before any communication, on all ranks alike
      results.refused.push_back({name, error.message()});
    }
  }
  return results;
}

std::string as_text(const Options& options, const Results& results, int ranks) {
  std::string text = fmt::format(
      "{}commit    {}\npeak      {:.1f} GFLOP/s of {} ranks at once ({})\nmodel     {} with {}\n"
      "step      {} micro-batches of {} sequences; medians of {} steps\n\n"
      "{:<25}{:>7}{:>9}{:>12}{:>8}{:>10}{:>11}{:>7}{:>8}{:>8}{:>7}{:>13}\n",
      device_lines(results.devices.all), built_commit(), results.devices.peak.flops_per_s / 1e9, ranks,
      results.devices.peak.how, options.model.preset, fmt::join(options.model.overrides, " "),
      options.benchmark.job.microbatches, options.benchmark.job.local_batch, options.benchmark.repeats,
      "schedule", "stages", "step s", "a rank t/s", "peak", "walks s", "simulated", "diff", "idle", "sim.",
      "kept", "activations");
  for (const PipelineTiming& timing : results.timings) {
    text += fmt::format(
        "{:<25}{:>7}{:>9.4f}{:>12.0f}{:>6.1f} %{:>10.4f}{:>11.4f}{:>+6.1f}%{:>6.1f} %{:>6.1f} %{:>7}{:>13}\n",
        timing.schedule, timing.stages, timing.step_s,
        static_cast<double>(timing.step_tokens) / timing.step_s / ranks,
        100 * share_of_peak(timing, results.devices.peak), timing.walks_s, timing.simulated_s,
        100 * difference(timing), 100 * timing.idle, 100 * timing.simulated_idle, timing.peak_stashes,
        bytes_text(static_cast<double>(timing.activation_bytes)));
  }
  for (const Refused& refused : results.refused)
    text += fmt::format("{:<25}{}\n", refused.schedule, refused.why);
  return text;
}

nlohmann::ordered_json as_json(const PipelineTiming& timing, const FmaPeak& peak) {
  return {{"schedule", timing.schedule},
          {"stages", timing.stages},
          {"step_s", timing.step_s},
          {"tokens_per_s", static_cast<double>(timing.step_tokens) / timing.step_s},
          {"fraction_of_peak", share_of_peak(timing, peak)},
          {"walks_s", timing.walks_s},
          {"simulated_s", timing.simulated_s},
          {"difference", difference(timing)},
          {"idle", timing.idle},
          {"simulated_idle", timing.simulated_idle},
          {"peak_stashes", timing.peak_stashes},
          {"activation_bytes", timing.activation_bytes}};
}

std::string as_json(const Options& options, const Results& results, int ranks) {
  nlohmann::ordered_json all = {{"preset", options.model.preset},
                                {"overrides", options.model.overrides},
                                {"devices", results.devices.all},
                                {"commit", built_commit()},
                                {"ranks", ranks},
                                {"microbatches", options.benchmark.job.microbatches},
                                {"peak_flops_per_s", results.devices.peak.flops_per_s},
                                {"schedules", nlohmann::ordered_json::array()},
                                {"refused", nlohmann::ordered_json::object()}};
  for (const PipelineTiming& timing : results.timings)
    all["schedules"].push_back(as_json(timing, results.devices.peak));
  for (const Refused& refused : results.refused) all["refused"][refused.schedule] = refused.why;
  return all.dump(2) + "\n";
}

int run(Options& options, Communicator& world) {
  options.benchmark.job.model = options.model.section();
  const Results results = measure_all(options, world);
  if (world.rank() != 0) return 0;
  write_standard_output(options.json ? as_json(options, results, world.size())
                                     : as_text(options, results, world.size()));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_pipeline(CLI::App& app) {
  auto options = std::make_shared<Options>();
  SyntheticJob& job = options->benchmark.job;
  job.microbatches = 8;
  job.sequence_length = 128;
  declare_model(app, options->model, "layers=7")->capture_default_str();
  app.add_option("--schedule", options->schedules, "Schedules to measure; default: all installed");
  app.add_option("--device", job.device, "auto, cuda, host or reference")->capture_default_str();
  declare_batches(app, job, "a step");
  add_integer(app, "--first-stage-less", options->benchmark.split.first_less, "[0, 1000]",
              "Layers that the embedding counts for");
  add_integer(app, "--last-stage-less", options->benchmark.split.last_less, "[0, 1000]",
              "Layers that the head counts for");
  add_integer(app, "--repeats", options->benchmark.repeats, "[1, 1000]", "Steps that are timed");
  app.add_flag("--json", options->json, "One JSON object");
  app.footer(
      "All ranks are one pipeline: mpirun -n 2 caravan bench pipeline\n"
      "walks s: from the first action to the end of the last. simulated: the plan with each stage's measured "
      "F, I\n"
      "and W. idle: share of the ranks' time, measured and simulated. kept: most activations of a rank.");
  return [options] { return with_world([&](Communicator& world) { return run(*options, world); }); };
}

}  // namespace caravan::jobs
