#include <CLI/CLI.hpp>
#include <memory>

#include "jobs/bench/checkpoint_command.hpp"
#include "jobs/bench/comm_command.hpp"
#include "jobs/bench/decode_command.hpp"
#include "jobs/bench/dispatch_command.hpp"
#include "jobs/bench/ops_command.hpp"
#include "jobs/bench/pipeline_command.hpp"
#include "jobs/bench/recompute_command.hpp"
#include "jobs/bench/step_command.hpp"
#include "jobs/command.hpp"

namespace caravan::jobs {
namespace {

std::function<int()> declare(CLI::App& app) {
  app.require_subcommand(1);
  auto chosen = std::make_shared<std::function<int()>>();
  const auto add = [&](const char* name, const char* summary,
                       std::function<int()> (*declare_verb)(CLI::App&)) {
    CLI::App* verb = app.add_subcommand(name, summary);
    verb->callback([chosen, action = declare_verb(*verb)] { *chosen = action; });
  };
  add("ops", "Every operator of a device against what the machine can do", declare_bench_ops);
  add("step", "Whole training steps against the peak of the machine", declare_bench_step);
  add("recompute", "Memory and time of steps that keep less and compute it again", declare_bench_recompute);
  add("pipeline", "Every pipeline schedule on one model, measured and simulated", declare_bench_pipeline);
  add("comm", "Exchanges of tensors among ranks, against a plain copy", declare_bench_comm);
  add("decode", "Decoding against what reading weights and cache allows", declare_bench_decode);
  add("dispatch", "Rows to experts on other ranks and back, against the link", declare_bench_dispatch);
  add("checkpoint", "Writing and reading checkpoints against the disk, and what saving costs training",
      declare_bench_checkpoint);
  return [chosen] { return (*chosen)(); };
}

}  // namespace

extern const Command bench_command{
    "bench", "Measures operators and steps, and the fraction of the physical limit", declare, true};

}  // namespace caravan::jobs
