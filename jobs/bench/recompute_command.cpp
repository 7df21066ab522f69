#include "jobs/bench/recompute_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "jobs/bench/recompute.hpp"
#include "jobs/bench/synthetic_options.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  ModelOptions model;
  RecomputeBenchmark benchmark;
  bool json = false;
};

double share(std::size_t bytes, std::size_t of) {
  return static_cast<double>(bytes) / static_cast<double>(std::max<std::size_t>(of, 1));
}

std::string as_json(const std::vector<RecomputeTiming>& timings) {
  nlohmann::ordered_json modes = nlohmann::ordered_json::array();
  for (const RecomputeTiming& timing : timings)
    modes.push_back({{"recompute", timing.mode},
                     {"kept_bytes", timing.bytes.kept},
                     {"working_bytes", timing.bytes.working},
                     {"median_s", timing.median_s},
                     {"loss", timing.loss}});
  return nlohmann::ordered_json{{"commit", built_commit()}, {"modes", modes}}.dump(2) + "\n";
}

/// The first mode is what the others are compared with.
std::string as_text(const std::vector<RecomputeTiming>& timings) {
  const RecomputeTiming& base = timings.front();
  std::string text = fmt::format("commit    {}\n\n{:<28}{:>12}{:>9}{:>14}{:>9}", built_commit(), "recompute",
                                 "kept", "", "with work", "");
  const bool timed = base.median_s > 0;
  text += timed ? fmt::format("{:>12}{:>10}{:>16}\n", "step ms", "", "loss") : "\n";
  for (const RecomputeTiming& timing : timings) {
    text += fmt::format("{:<28}{:>12}{:>7.1f} %{:>14}{:>7.1f} %", timing.mode,
                        bytes_text(static_cast<double>(timing.bytes.kept)),
                        100 * share(timing.bytes.kept, base.bytes.kept),
                        bytes_text(static_cast<double>(timing.bytes.total())),
                        100 * share(timing.bytes.total(), base.bytes.total()));
    text += timed ? fmt::format("{:>12.2f}{:>+8.1f} %{:>16.9f}\n", 1e3 * timing.median_s,
                                100 * (timing.median_s / base.median_s - 1), timing.loss)
                  : "\n";
  }
  return text;
}

int run(Options& options, Communicator& world) {
  options.benchmark.job.model = options.model.section();
  const auto timings = time_recomputation(options.benchmark, world);
  if (world.rank() == 0) write_standard_output(options.json ? as_json(timings) : as_text(timings));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_recompute(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->benchmark.modes = {"none", "full", "every=2", "selective", "budget=0.6"};
  SyntheticJob& job = options->benchmark.job;
  declare_model(app, options->model, "dim=512");
  app.add_option("--modes", options->benchmark.modes,
                 "What to compare with the first, e.g. none,full,every=2,selective=attention+norm,budget=0.5")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  app.add_option("--device", job.device, "auto, cuda, host or reference")->capture_default_str();
  app.add_option("--precision", job.precision, "auto, fp32 or bf16")->capture_default_str();
  declare_batches(app, job, "a step on a rank");
  add_integer(app, "--repeats", options->benchmark.repeats, "[0, 10000]",
              "Steps that are timed; 0: memory alone");
  app.add_flag("--json", options->json, "One JSON object");
  app.footer(
      "kept: activations from forward to backward, of all micro-batches in flight; with work: and those "
      "within "
      "one walk.\nA budget counts both.");
  return [options] { return with_world([&](Communicator& world) { return run(*options, world); }); };
}

}  // namespace caravan::jobs
