#include "jobs/bench/ops_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "jobs/bench/ops_run.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  std::string device = "auto";
  OpsShape shape;
  OpsSelection selection;
  bool json = false;
};

std::string as_json(const OpsReport& report) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const OpResult& r : report.results) {
    results.push_back({{"operator", r.name},
                       {"bytes", r.bytes},
                       {"flops", r.flops},
                       {"seconds", r.seconds},
                       {"bytes_per_s", r.bytes / r.seconds},
                       {"flops_per_s", r.flops / r.seconds},
                       {"stream_bytes_per_s", r.stream_bandwidth},
                       {"fraction_of_limit", r.fraction}});
    if (r.of_share > 0) results.back()["time_by_share_of_whole"] = r.of_share;
  }
  const OpsShape& s = report.shape;
  const nlohmann::ordered_json shape = {{"batch", s.batch},
                                        {"sequence", s.sequence},
                                        {"width", s.width},
                                        {"heads", s.heads},
                                        {"kv_heads", s.kv_heads},
                                        {"head_dim", s.head_dim},
                                        {"experts", s.experts},
                                        {"top_k", s.top_k},
                                        {"hidden", s.hidden},
                                        {"vocabulary", s.vocabulary},
                                        {"chunk", s.chunk},
                                        {"context", s.context},
                                        {"context_rank", s.context_rank}};
  const nlohmann::ordered_json all = {{"device", report.device},
                                      {"commit", built_commit()},
                                      {"peak_flops_per_s", report.peak.flops_per_s},
                                      {"peak_measured_by", report.peak.how},
                                      {"shape", shape},
                                      {"operators", results}};
  return all.dump(2) + "\n";
}

/// Of what one context rank does with an equal share of the whole.
std::string comparisons(const OpsReport& report) {
  std::string text;
  for (const OpResult& r : report.results) {
    if (r.of_share == 0) continue;
    text += fmt::format("{}{}, of rank {} of {}, takes {:.2f} times 1/{} of the time of the whole\n",
                        text.empty() ? "\n" : "", r.name, report.shape.context_rank, report.shape.context,
                        r.of_share, report.shape.context);
  }
  return text;
}

std::string as_table(const OpsReport& report) {
  std::string text = fmt::format("device  {}\ncommit  {}\n", report.device, built_commit());
  if (report.peak.flops_per_s > 0) {
    text += fmt::format("peak    {:.1f} GFLOP/s ({})\n", report.peak.flops_per_s / 1e9, report.peak.how);
  }
  text +=
      "limit   the longer of FLOPs at peak and bytes at the speed of a copy or sum that moves as many\n\n";
  text += fmt::format("{:<40} {:>9} {:>10} {:>11} {:>9} {:>10} {:>7}\n", "operator", "MB", "MFLOP", "ms",
                      "GB/s", "GFLOP/s", "limit");
  for (const OpResult& r : report.results) {
    text += fmt::format("{:<40} {:>9.2f} {:>10.1f} {:>11.4f} {:>9.1f} {:>10.1f} {:>6.1f}%\n", r.name,
                        r.bytes / 1e6, r.flops / 1e6, r.seconds * 1e3, r.bytes / r.seconds / 1e9,
                        r.flops / r.seconds / 1e9, 100 * r.fraction);
  }
  return text + comparisons(report);
}

/// The largest tensors of the cases, before any is made.
void check_sizes(const OpsShape& shape) {
  const Size batch{"--batch", shape.batch}, sequence{"--sequence", shape.sequence}, dim{"--dim", shape.width},
      hidden{"--hidden", shape.hidden}, vocabulary{"--vocab", shape.vocabulary};
  checked_product({batch, sequence, {"--top-k", shape.top_k}}, kMostRows, "rows");
  const auto check = [](std::initializer_list<Size> sizes) {
    checked_product(sizes, kMostElements, "elements of one tensor");
  };
  check({vocabulary, dim});
  check({{"--experts", shape.experts}, hidden, dim});
  check({batch, sequence, {"--top-k", shape.top_k}, hidden});
  check({batch, sequence, vocabulary});
  check({batch, sequence, {"--heads", shape.heads}, {"--head-dim", shape.head_dim}});
  check({{"--kv-heads", shape.kv_heads}, {"--head-dim", shape.head_dim}, dim});
  CARAVAN_CHECK(shape.context == 1 || shape.sequence / 2 >= shape.context, ConfigError,
                fmt::format("--sequence {} with --context {} (each rank has two blocks, and each block a "
                            "token). A longer --sequence, or fewer ranks?",
                            shape.sequence, shape.context));
  CARAVAN_CHECK(shape.context_rank < shape.context, ConfigError,
                fmt::format("--context-rank {} with --context {} (ranks are counted from 0). A smaller one?",
                            shape.context_rank, shape.context));
}

int run(const Options& options) {
  check_sizes(options.shape);
  const auto registry = make_registry();
  const auto device = choose_device(*registry, options.device);
  const OpsReport report = measure_ops(*device, options.shape, options.selection);
  write_standard_output(options.json ? as_json(report) : as_table(report));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_ops(CLI::App& app) {
  auto options = std::make_shared<Options>();
  OpsShape& shape = options->shape;
  app.add_option("--device", options->device, "Device to measure")->capture_default_str();
  app.add_option("--only", options->selection.only,
                 "Part of the names of the operators to measure; all without it");
  add_integer(app, "--repeats", options->selection.timing.least_repeats, "[1, 1000000]",
              "Least number of timed calls");
  add_number(app, "--seconds", options->selection.timing.least_seconds, "[0, 3600]",
             "Least time for each operator, in s");
  app.add_flag("--json", options->json, "Write JSON");
  const auto size = [&](const char* name, std::int64_t& value, const char* what) {
    add_integer(app, name, value, "[1, 16777216]", what);
  };
  size("--batch", shape.batch, "Sequences");
  size("--sequence", shape.sequence, "Tokens of a sequence");
  size("--dim", shape.width, "Model width");
  size("--heads", shape.heads, "Query heads");
  size("--kv-heads", shape.kv_heads, "Key/value heads");
  size("--head-dim", shape.head_dim, "Width of a head");
  size("--experts", shape.experts, "Experts");
  size("--top-k", shape.top_k, "Experts of a token");
  size("--hidden", shape.hidden, "Width of the feed-forward network and of an expert");
  size("--vocab", shape.vocabulary, "Vocabulary");
  add_integer(app, "--chunk", shape.chunk, "[0, 16777216]", "Chunk of the attention; 0: the whole sequence");
  size("--context", shape.context,
       "Context ranks: above 1, attention of one of them too, beside its share of the whole");
  add_integer(app, "--context-rank", shape.context_rank, "[0, 16777215]", "Which of them");
  return [options] { return run(*options); };
}

}  // namespace caravan::jobs
