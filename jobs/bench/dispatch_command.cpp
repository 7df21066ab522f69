#include "jobs/bench/dispatch_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "jobs/bench/dispatch.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  DispatchBenchmark benchmark;
  bool json = false;
};

nlohmann::ordered_json as_json(const DispatchTiming& timing, std::int64_t row_bytes) {
  return {{"routing", name_of(timing.routing)},
          {"most_sent_rows", timing.most_sent},
          {"most_sent_bytes", timing.most_sent * row_bytes},
          {"most_received_rows", timing.most_received},
          {"rows_without_room", timing.without_room},
          {"dispatch_s", timing.dispatch_s},
          {"combine_s", timing.combine_s},
          {"combine_gradient_s", timing.combine_gradient_s},
          {"dispatch_gradient_s", timing.dispatch_gradient_s},
          {"sum_s", timing.sum_s()}};
}

std::string as_json(const DispatchBenchmark& benchmark, const DispatchTimings& timings, int ranks) {
  nlohmann::ordered_json all = {{"device", timings.device},
                                {"precision", timings.precision},
                                {"commit", built_commit()},
                                {"ranks", ranks},
                                {"dispatcher", timings.dispatcher},
                                {"experts", benchmark.experts},
                                {"top_k", benchmark.top_k},
                                {"width", benchmark.width},
                                {"tokens", benchmark.tokens},
                                {"repeats", benchmark.repeats},
                                {"row_bytes", timings.row_bytes},
                                {"link_bytes_per_s", timings.link_bytes_per_s},
                                {"routings", nlohmann::ordered_json::array()}};
  for (const DispatchTiming& timing : timings.routings)
    all["routings"].push_back(as_json(timing, timings.row_bytes));
  return all.dump(2) + "\n";
}

/// Milliseconds of an exchange, and the rate at which the rank that sends most does.
std::string exchange_text(const DispatchTiming& timing, const DispatchTimings& timings, double seconds) {
  const double rate = static_cast<double>(timing.most_sent * timings.row_bytes) / seconds;
  const std::string share =
      timings.link_bytes_per_s > 0 ? fmt::format("{:.0f} %", 100 * rate / timings.link_bytes_per_s) : "-";
  return fmt::format("{:>10.3f}{:>8.2f}{:>7}", 1e3 * seconds, rate / 1e9, share);
}

std::string as_text(const DispatchBenchmark& benchmark, const DispatchTimings& timings, int ranks) {
  std::string text = fmt::format(
      "device      {}\ncommit      {}\ndispatcher  {}\nexperts     {}, {} on each of {} ranks; {} a token\n"
      "rows        of {} {}, {} tokens a rank; medians of {}, of the slowest rank\n",
      timings.device, built_commit(), timings.dispatcher, benchmark.experts, benchmark.experts / ranks, ranks,
      benchmark.top_k, benchmark.width, timings.precision, benchmark.tokens, benchmark.repeats);
  if (timings.link_bytes_per_s > 0)
    text += fmt::format("link        {:.2f} GB/s sent by a rank in a plain exchange of even rows\n",
                        timings.link_bytes_per_s / 1e9);
  text += fmt::format("\n{:<9}{:>10}{:>12}{:>10}{:>10}{:>8}{:>7}{:>10}{:>8}{:>7}{:>13}{:>13}{:>10}\n",
                      "routing", "sent", "", "received", "dispatch", "GB/s", "link", "combine", "GB/s",
                      "link", "combine'", "dispatch'", "sum");
  for (const DispatchTiming& timing : timings.routings) {
    if (timing.without_room > 0) {
      text += fmt::format("{:<9}{:>10}{:>12}{:>10}  nothing travelled: {:.0f} rows had no room\n",
                          name_of(timing.routing), timing.most_sent,
                          bytes_text(static_cast<double>(timing.most_sent * timings.row_bytes)),
                          timing.most_received, timing.without_room);
      continue;
    }
    text += fmt::format(
        "{:<9}{:>10}{:>12}{:>10}{}{}{:>13.3f}{:>13.3f}{:>10.3f}\n", name_of(timing.routing), timing.most_sent,
        bytes_text(static_cast<double>(timing.most_sent * timings.row_bytes)), timing.most_received,
        exchange_text(timing, timings, timing.dispatch_s), exchange_text(timing, timings, timing.combine_s),
        1e3 * timing.combine_gradient_s, 1e3 * timing.dispatch_gradient_s, 1e3 * timing.sum_s());
  }
  return text;
}

int run(const Options& options, Communicator& world) {
  const DispatchTimings timings = time_dispatch(options.benchmark, world);
  if (world.rank() != 0) return 0;
  write_standard_output(options.json ? as_json(options.benchmark, timings, world.size())
                                     : as_text(options.benchmark, timings, world.size()));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_dispatch(CLI::App& app) {
  auto options = std::make_shared<Options>();
  DispatchBenchmark& benchmark = options->benchmark;
  app.add_option("--device", benchmark.device, "auto, cuda, host or reference")->capture_default_str();
  app.add_option("--precision", benchmark.precision, "auto, fp32 or bf16")->capture_default_str();
  app.add_option("--dispatch", benchmark.dispatch,
                 "As model.dispatch of a job: auto, a name, or {name: ..., keys}")
      ->capture_default_str();
  add_integer(app, "--experts", benchmark.experts, "[1, 65536]", "Experts of all ranks");
  add_integer(app, "--top-k", benchmark.top_k, "[1, 65536]", "Experts a token");
  add_integer(app, "--width", benchmark.width, "[1, 262144]", "Numbers of a row");
  add_integer(app, "--tokens", benchmark.tokens, "[1, 16777216]", "Tokens of a rank");
  app.add_flag("--scores-on-output", benchmark.scores_on_output,
               "Scores travel with the rows, as with score_on: output");
  add_integer(app, "--repeats", benchmark.repeats, "[1, 10000]", "Rounds that are timed");
  app.add_flag("--json", options->json, "One JSON object");
  app.footer(
      "All ranks are one expert group: mpirun -n 2 caravan bench dispatch\n"
      "Times in ms, of eight in a row; dispatch' and combine' are the backward of each. sent: rows to other "
      "ranks, of the rank "
      "that sends most.\n"
      "even: one expert after the other; dealt: at random; skewed: expert e with a weight of 1 / (e + 1).");
  return [options] { return with_world([&](Communicator& world) { return run(*options, world); }); };
}

}  // namespace caravan::jobs
