#include "jobs/bench/step_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "jobs/bench/rank_devices.hpp"
#include "jobs/bench/step.hpp"
#include "jobs/bench/synthetic_options.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  ModelOptions model;
  StepBenchmark benchmark;
  std::string recompute = "none";
  bool json = false;
};

nlohmann::ordered_json as_json(const Profile& profile) {
  nlohmann::ordered_json kernels = nlohmann::ordered_json::array();
  for (const KernelTime& kernel : profile.kernels)
    kernels.push_back({{"name", kernel.name}, {"calls", kernel.calls}, {"seconds", kernel.seconds}});
  return {{"span_s", profile.span_s},
          {"idle_fraction", profile.fraction(profile.idle_s)},
          {"longest_gap_s", profile.longest_gap_s},
          {"longest_gap_from", profile.before_gap},
          {"longest_gap_to", profile.after_gap},
          {"exchanges_alone_fraction", profile.fraction(profile.exchanges_s)},
          {"kernels", kernels}};
}

nlohmann::ordered_json as_json(const std::vector<DeviceTimes>& ranks) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const DeviceTimes& rank : ranks)
    all.push_back({{"computation_s", rank.computation_s},
                   {"exchanges_alone_s", rank.exchanges_s},
                   {"idle_s", rank.idle_s}});
  return all;
}

std::string as_json(const Options& options, const StepTiming& timing, int ranks) {
  nlohmann::ordered_json all = {
      {"preset", options.model.preset},
      {"overrides", options.model.overrides},
      {"device", timing.device},
      {"devices", timing.devices},
      {"precision", timing.precision},
      {"commit", built_commit()},
      {"ranks", ranks},
      {"sequence_length", timing.sequence_length},
      {"step_tokens", timing.step_tokens},
      {"median_s", timing.median_s},
      {"fastest_s", timing.fastest_s},
      {"slowest_s", timing.slowest_s},
      {"tokens_per_s", static_cast<double>(timing.step_tokens) / timing.median_s},
      {"model_flops", timing.step_flops},
      {"flops_per_s", timing.step_flops / timing.median_s},
      {"tokens_per_s_and_rank", static_cast<double>(timing.step_tokens) / timing.median_s / ranks},
      {"datasheet_flops_per_s_and_rank", timing.datasheet_flops},
      {"peak_flops_per_s", timing.peak.flops_per_s},
      {"peak_measured_by", timing.peak.how},
      {"fraction_of_peak", timing.step_flops / timing.median_s / timing.peak.flops_per_s}};
  if (!timing.peer_command.empty()) all["peer_command"] = timing.peer_command;
  if (options.benchmark.profiled > 0) {
    all["profile"] = as_json(timing.profile);
    all["profile"]["ranks"] = as_json(timing.profiled_ranks);
  }
  return all.dump(2) + "\n";
}

std::string text_of_a_rank(const StepTiming& timing, int ranks) {
  if (ranks == 1 && timing.datasheet_flops == 0) return {};
  const double rate = timing.step_flops / timing.median_s / ranks;
  std::string text =
      fmt::format("a rank    {:.0f} tokens/s, {:.1f} GFLOP/s",
                  static_cast<double>(timing.step_tokens) / timing.median_s / ranks, rate / 1e9);
  if (timing.datasheet_flops > 0)
    text += fmt::format(" = {:.1f} % of its datasheet's {:.0f} TFLOP/s", 100 * rate / timing.datasheet_flops,
                        timing.datasheet_flops / 1e12);
  return text + "\n";
}

std::string as_text(const Options& options, const StepTiming& timing, int ranks) {
  const double rate = timing.step_flops / timing.median_s;
  return fmt::format(
             "{}computes  in {}\ncommit    {}\npeak      {:.1f} GFLOP/s of {} ranks at once ({})\n"
             "model     {}{}{}: {} parameters\n"
             "step      {} tokens in sequences of {}, {:.1f} GFLOP (causal attention at half, active "
             "experts, no "
             "recomputation)\n"
             "time      median {:.4f} s of {} (fastest {:.4f}, slowest {:.4f})\n"
             "speed     {:.0f} tokens/s, {:.1f} GFLOP/s = {:.1f} % of the peak\n",
             device_lines(timing.devices), timing.precision, built_commit(), timing.peak.flops_per_s / 1e9,
             ranks, timing.peak.how, options.model.preset, options.model.overrides.empty() ? "" : " with ",
             fmt::join(options.model.overrides, " "), with_commas(timing.parameters), timing.step_tokens,
             timing.sequence_length, timing.step_flops / 1e9, timing.median_s, options.benchmark.repeats,
             timing.fastest_s, timing.slowest_s, static_cast<double>(timing.step_tokens) / timing.median_s,
             rate / 1e9, 100 * rate / timing.peak.flops_per_s) +
         text_of_a_rank(timing, ranks) +
         (timing.peer_command.empty() ? "" : "peer      " + timing.peer_command + "\n") +
         (options.benchmark.profiled > 0 ? as_text(timing.profile, options.benchmark.profiled) +
                                               as_text(timing.profiled_ranks, options.benchmark.profiled)
                                         : "");
}

int run(Options& options, Communicator& world) {
  options.benchmark.job.model = options.model.section();
  options.benchmark.job.recompute = recompute_yaml(options.recompute);
  const StepTiming timing = time_steps(options.benchmark, world);
  if (world.rank() != 0) return 0;
  write_standard_output(options.json ? as_json(options, timing, world.size())
                                     : as_text(options, timing, world.size()));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_step(CLI::App& app) {
  auto options = std::make_shared<Options>();
  SyntheticJob& job = options->benchmark.job;
  declare_model(app, options->model, "dim=512");
  app.add_option("--device", job.device, "auto, cuda, host or reference")->capture_default_str();
  app.add_option("--precision", job.precision, "auto, fp32 or bf16")->capture_default_str();
  declare_batches(app, job, "a step on a rank");
  app.add_option("--recompute", options->recompute,
                 "What backward makes again: none, full, every=2, selective, budget=0.5")
      ->capture_default_str();
  app.add_option("--parallel", job.parallel,
                 "Keys of the job's section parallel, e.g. data_shard=2 pipeline=2 schedule=zbv")
      ->type_name("key=value");
  add_integer(app, "--repeats", options->benchmark.repeats, "[1, 10000]", "Steps that are timed");
  add_integer(app, "--profile", options->benchmark.profiled, "[0, 1000]",
              "Then record every kernel of this many steps: time of each, and how long the GPU idles");
  app.add_option("--trace", options->benchmark.trace,
                 "Write what --profile records to FOLDER/rank-0.json, …, which ui.perfetto.dev draws")
      ->type_name("FOLDER")
      ->needs("--profile");
  app.add_option("--peer", options->benchmark.peer,
                 "Write the step's description to FILE and print the command that times it in PyTorch, by "
                 "docs/peers/torch_step.py")
      ->type_name("FILE");
  app.add_flag("--json", options->json, "One JSON object");
  app.footer("Use all cores: mpirun -n 2 caravan bench step");
  return [options] { return with_world([&](Communicator& world) { return run(*options, world); }); };
}

}  // namespace caravan::jobs
