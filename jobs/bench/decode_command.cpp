#include "jobs/bench/decode_command.hpp"
#include "jobs/bench/commit.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "jobs/bench/decode.hpp"
#include "jobs/bench/synthetic_options.hpp"
#include "jobs/command_numbers.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

struct Options {
  ModelOptions model;
  DecodeBenchmark benchmark;
  bool json = false;
};

double prefill_rate(const Options& options, const DecodeTiming& timing) {
  return static_cast<double>(timing.batch * options.benchmark.context) / timing.prefill_s;
}

nlohmann::ordered_json as_json(const Options& options, const DecodeTiming& timing) {
  nlohmann::ordered_json json = {{"batch", timing.batch},
                                 {"step_s", timing.step_s},
                                 {"tokens_per_s", timing.tokens_per_s()},
                                 {"step_bytes", timing.step_bytes},
                                 {"read_bytes_per_s", timing.read_rate},
                                 {"share_of_limit", timing.share_of_limit()},
                                 {"prefill_tokens_per_s", prefill_rate(options, timing)},
                                 {"prefill_flops_per_s", timing.prefill_flops / timing.prefill_s},
                                 {"time_to_first_token_s", timing.first_token_s}};
  if (timing.forward_s > 0) json["prefill_of_forward"] = timing.forward_s / timing.prefill_s;
  return json;
}

std::string as_json(const Options& options, const DecodeTimings& timings) {
  nlohmann::ordered_json batches = nlohmann::ordered_json::array();
  for (const DecodeTiming& each : timings.batches) batches.push_back(as_json(options, each));
  const nlohmann::ordered_json all = {{"preset", options.model.preset},
                                      {"overrides", options.model.overrides},
                                      {"device", timings.device},
                                      {"precision", timings.precision},
                                      {"commit", built_commit()},
                                      {"parameters", timings.parameters},
                                      {"context", options.benchmark.context},
                                      {"batches", batches}};
  return all.dump(2) + "\n";
}

std::string as_text(const Options& options, const DecodeTimings& timings) {
  std::string text = fmt::format(
      "device    {}\ncomputes  in {}\ncommit    {}\nmodel     {}: {} parameters\ncontext   {} positions\n"
      "   batch   tokens/s   ms/step   MB read   GB/s read here   of even routing's limit   prefill tokens/s "
      "  first "
      "token\n",
      timings.device, timings.precision, built_commit(), options.model.preset,
      with_commas(timings.parameters), options.benchmark.context);
  for (const DecodeTiming& each : timings.batches)
    text += fmt::format("{:8} {:10.1f} {:9.3f} {:9.1f} {:16.1f} {:23.1f} % {:18.0f} {:10.4f} s\n", each.batch,
                        each.tokens_per_s(), 1e3 * each.step_s, each.step_bytes / 1e6, each.read_rate / 1e9,
                        100 * each.share_of_limit(), prefill_rate(options, each), each.first_token_s);
  for (const DecodeTiming& each : timings.batches) {
    if (each.forward_s > 0)
      text += fmt::format("prefill at batch {} at {:.1f} % of training's forward pass ({:.0f} tokens/s)\n",
                          each.batch, 100 * each.forward_s / each.prefill_s,
                          prefill_rate(options, each) * each.prefill_s / each.forward_s);
  }
  for (const DecodeTiming& each : timings.batches)
    if (options.benchmark.profiled > 0)
      text += fmt::format("\nbatch {}\n{}", each.batch, as_text(each.profile, options.benchmark.profiled));
  return text;
}

int run(Options& options) {
  options.benchmark.model = options.model.section();
  if (options.benchmark.batches.empty()) options.benchmark.batches = {1, 8, 32};
  const DecodeTimings timings = time_decoding(options.benchmark);
  write_standard_output(options.json ? as_json(options, timings) : as_text(options, timings));
  return 0;
}

}  // namespace

std::function<int()> declare_bench_decode(CLI::App& app) {
  auto options = std::make_shared<Options>();
  DecodeBenchmark& benchmark = options->benchmark;
  declare_model(app, options->model, "dim=512");
  app.add_option("--device", benchmark.device, "auto, cuda, host or reference")->capture_default_str();
  app.add_option("--precision", benchmark.precision, "auto, fp32 or bf16")->capture_default_str();
  add_integers(app, "--batches", benchmark.batches, "[1, 65536]",
               "Sequences at a time, one measurement each; 1 8 32 where none is given");
  add_integer(app, "--context", benchmark.context, "[1, 16777215]", "Positions of each sequence before");
  add_integer(app, "--steps", benchmark.steps, "[1, 1000000]", "Steps that are timed");
  add_integer(app, "--profile", benchmark.profiled, "[0, 1000]",
              "Record so many steps more, and where a GPU's time went in them");
  app.add_flag("--forward", benchmark.forward,
               "Also time a forward pass of training over the prompts of all sequences");
  app.add_flag("--json", options->json, "One JSON object");
  app.footer("Use all cores: OMP_NUM_THREADS=2 caravan bench decode");
  return [options] { return run(*options); };
}

}  // namespace caravan::jobs
