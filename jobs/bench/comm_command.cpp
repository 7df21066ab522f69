#include "jobs/bench/comm_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "jobs/bench/comm.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

constexpr const char* kSizes = "[4, 68719476736]";

struct Options {
  CommBenchmark benchmark;
  std::vector<std::string> sizes{"65536", "1048576", "16777216", "67108864"};
  bool json = false;
};

double bus_rate(const CommTiming& timing) {
  return timing.moved_bytes / timing.seconds;
}

std::string as_json(const CommBenchmark& benchmark, const CommTimings& timings, int ranks) {
  nlohmann::ordered_json all = {{"device", timings.device},
                                {"commit", built_commit()},
                                {"ranks", ranks},
                                {"repeats", benchmark.repeats},
                                {"exchanges", nlohmann::ordered_json::array()}};
  for (const CommTiming& timing : timings.timings)
    all["exchanges"].push_back({{"operation", timing.operation},
                                {"bytes", timing.bytes},
                                {"seconds", timing.seconds},
                                {"bytes_per_s", static_cast<double>(timing.bytes) / timing.seconds},
                                {"bus_bytes_per_s", bus_rate(timing)},
                                {"limit_bytes_per_s", timing.limit_bytes_per_s}});
  return all.dump(2) + "\n";
}

std::string as_text(const CommBenchmark& benchmark, const CommTimings& timings, int ranks) {
  std::string text = fmt::format(
      "device      {}\ncommit      {}\nranks       {}; fp32, medians of {}, of the slowest rank\n\n"
      "{:<16}{:>12}{:>12}{:>10}{:>10}{:>12}\n",
      timings.device, built_commit(), ranks, benchmark.repeats, "", "bytes", "ms", "GB/s", "bus GB/s",
      "of limit");
  for (const CommTiming& timing : timings.timings) {
    const std::string share = timing.limit_bytes_per_s > 0
                                  ? fmt::format("{:.0f} %", 100 * bus_rate(timing) / timing.limit_bytes_per_s)
                                  : "-";
    text += fmt::format("{:<16}{:>12}{:>12.3f}{:>10.2f}{:>10.2f}{:>12}\n", timing.operation, timing.bytes,
                        1e3 * timing.seconds, static_cast<double>(timing.bytes) / timing.seconds / 1e9,
                        bus_rate(timing) / 1e9, share);
  }
  return text;
}

int run(const Options& options, Communicator& world) {
  CommBenchmark benchmark = options.benchmark;
  for (const std::string& size : options.sizes)
    benchmark.sizes.push_back(read_integer("--sizes", size, kSizes));
  const CommTimings timings = time_comm(benchmark, world);
  if (world.rank() != 0) return 0;
  write_standard_output(options.json ? as_json(benchmark, timings, world.size())
                                     : as_text(benchmark, timings, world.size()));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_comm(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CommBenchmark& benchmark = options->benchmark;
  app.add_option("--device", benchmark.device, "auto, cuda, host or reference")->capture_default_str();
  app.add_option("--operations", benchmark.operations,
                 fmt::format("Of {}; all when not given", fmt::join(comm_operations(), ", ")));
  app.add_option("--sizes", options->sizes, "Bytes of the larger of a rank's two buffers")
      ->type_name(shown_type("INT", kSizes) + " ...")
      ->capture_default_str();
  add_integer(app, "--repeats", benchmark.repeats, "[1, 10000]", "Exchanges that are timed");
  app.add_flag("--json", options->json, "One JSON object");
  app.footer(
      "All ranks are one group: mpirun -n 2 caravan bench comm\n"
      "bytes: what all ranks together gather, what each gives to be summed, what each sends in all. GB/s: "
      "bytes by\n"
      "time. bus GB/s: what leaves a rank whatever the algorithm, (n - 1) / n of the bytes, twice that for\n"
      "all_reduce, all of them for send_receive. of limit: that rate by the one at which a rank copies as "
      "many\n"
      "bytes in memory, which is the limit between processes of a host, or by that of the datasheet of a "
      "GPU's "
      "links.");
  return [options] { return with_world([&](Communicator& world) { return run(*options, world); }); };
}

}  // namespace caravan::jobs
