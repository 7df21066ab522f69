#include "jobs/bench/checkpoint_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "jobs/bench/checkpoint_disk.hpp"
#include "jobs/bench/checkpoint_stall.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/with_world.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  std::string folder = ".", preset = "debugmodel";
  double gib = 1;
  DiskBenchmark disk;
  StallBenchmark stall;
  bool json = false;
};

double gigabytes_per_second(std::uint64_t bytes, double seconds) {
  return static_cast<double>(bytes) / seconds / 1e9;
}

std::string rows(const char* what, const char* caravan, std::uint64_t bytes, const DiskTiming::Way& way) {
  const auto row = [&](const std::string& name, double seconds) {
    return fmt::format("{:<34}{:>9.3f} s{:>9.2f} GB/s{:>10.1f} %{:>10.1f} %\n", name, seconds,
                       gigabytes_per_second(bytes, seconds), 100 * way.dd_s / seconds,
                       100 * way.raw_s / seconds);
  };
  return row(fmt::format("{} as dd does", what), way.dd_s) +
         row(fmt::format("{} with huge pages", what), way.raw_s) + row(caravan, way.caravan_s);
}

std::string as_text(const Options& options, const DiskTiming& disk, const StallTiming& stall, int ranks) {
  const int steps = options.stall.every;
  return fmt::format("commit    {}\nfolder    {}\n{} bytes, {} ranks, medians of {}\n\n{:>70}{:>12}\n",
                     built_commit(), options.folder, disk.bytes, ranks, options.disk.repeats, "of dd",
                     "of the disk") +
         rows("write", "write a checkpoint, in place", disk.bytes, disk.write) +
         rows("read", "read it on another layout", disk.bytes, disk.read) +
         fmt::format(
             "\n{} on {} ranks, {} steps, medians of {}\n"
             "without a checkpoint {:.3f} s, with one {:.3f} s: {:+.2f} %; training waited {:.4f} s, {:.2f} "
             "% "
             "of a step\n",
             options.preset, ranks, steps, options.stall.rounds, stall.plain_s, stall.saved_s,
             100 * (stall.saved_s / stall.plain_s - 1), stall.copy_s, 100 * stall.copy_s / stall.plain_s);
}

nlohmann::ordered_json json_of(const DiskTiming::Way& way) {
  return {{"dd_s", way.dd_s}, {"raw_s", way.raw_s}, {"caravan_s", way.caravan_s}};
}

std::string as_json(const Options& options, const DiskTiming& disk, const StallTiming& stall, int ranks) {
  return nlohmann::ordered_json{
             {"commit", built_commit()}, {"folder", options.folder},     {"ranks", ranks},
             {"bytes", disk.bytes},      {"write", json_of(disk.write)}, {"read", json_of(disk.read)},
             {"preset", options.preset}, {"steps", options.stall.every}, {"plain_s", stall.plain_s},
             {"saved_s", stall.saved_s}, {"copy_s", stall.copy_s}}
             .dump(2) +
         "\n";
}

int run(Options& options, Communicator& world) {
  options.disk.folder = options.stall.folder = options.folder;
  options.disk.bytes = static_cast<std::uint64_t>(options.gib * (1 << 30));
  options.stall.job.model = Config::map();
  options.stall.job.model.set("preset", options.preset);
  const DiskTiming disk = time_disk(options.disk, world);
  const StallTiming stall = time_stall(options.stall, world);
  if (world.rank() == 0)
    write_standard_output(options.json ? as_json(options, disk, stall, world.size())
                                       : as_text(options, disk, stall, world.size()));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_checkpoint(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--folder", options->folder, "A folder on the disk to measure")->capture_default_str();
  add_number(app, "--gib", options->gib, "[0.01, 1000]", "Size of the checkpoint");
  add_integer(app, "--repeats", options->disk.repeats, "[1, 100]", "Of writing and reading");
  app.add_option("--preset", options->preset, "Model that is trained and saved")->capture_default_str();
  add_integer(app, "--sequence", options->stall.job.sequence_length, "[0, 16777216]",
              "Tokens of a sequence; 0: the preset's");
  add_integer(app, "--every", options->stall.every, "[1, 100000]", "Steps between checkpoints");
  add_integer(app, "--rounds", options->stall.rounds, "[1, 1000]",
              "Of so many steps, without and with a checkpoint");
  app.add_flag("--json", options->json, "One JSON object");
  app.footer("With two writers: mpirun -n 2 caravan bench checkpoint");
  return [options] { return with_world([&](Communicator& world) { return run(*options, world); }); };
}

}  // namespace caravan::jobs
