#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/schema.hpp"
#include "core/plan/lower.hpp"
#include "core/plan/split.hpp"
#include "core/run/lr_schedule.hpp"
#include "jobs/job/export_rule.hpp"
#include "jobs/job/fork_rule.hpp"
#include "jobs/job/metrics_rule.hpp"
#include "jobs/job/optimizer_groups.hpp"
#include "jobs/job/recompute_rule.hpp"
#include "jobs/job/sample_rule.hpp"

namespace caravan::jobs {

/// A job file with its overrides, every key checked and every default filled in. `resolved` is the whole of
/// it as it will be stored in checkpoints; the sections of components (model, data, optimizer) stay trees
/// that the component validates.
struct Job {
  Config resolved;

  std::string name, output, device;
  Config device_options;  ///< keys of the device
  std::uint64_t seed = 0;

  Config model;  ///< keys of the model plugin, preset merged in
  std::string model_plugin;
  Config data;  ///< keys of the data source
  std::string data_source;
  Config optimizer;  ///< keys of the optimizer
  std::string optimizer_name;
  OptimizerGroups optimizer_groups;

  struct Train {
    std::int64_t steps, sequence_length, local_batch_size,
        global_batch_size;  ///< global: -1 = one micro-batch a rank
    double max_norm;
    std::int64_t log_every;
    RecomputeRule recompute;
    LrSchedule lr;
    bool freezes_schedule;  ///< schedule_steps: frozen
    std::string precision;  ///< auto, fp32 or bf16
  } train{};
  struct Validation {
    std::int64_t every, batches;  ///< batches: -1 = one pass
    bool is_wanted() const { return batches > 0 || (batches < 0 && every > 0); }
    Config data;  ///< differences to `data`
    SampleRule samples;
  } validation{};
  struct Checkpoint {
    bool enabled;
    std::int64_t every, keep_latest, keep_every;
    std::string initial_load;
    ForkRule from;
    bool resume, stop_on_failure, async, create_seed;
    std::vector<std::string> exclude_from_loading;  ///< globs over names in checkpoints
    ExportRule exported;
    bool one_file;
    std::vector<std::string> allow_changes;  ///< globs over keys of the resolved job
  } checkpoint{};
  struct Parallel {
    std::int64_t data_replicate, data_shard, pipeline, context, tensor, expert;
    bool divides_experts_by_tensor;  ///< expert_tensor: tensor
    bool async_tensor;
    bool rotates_in_ring;  ///< rotate: ring
    std::string reshard;   ///< auto, always or never
    std::int64_t prefetch;
    std::string divide_optimizer;  ///< auto, true or false
    std::string schedule;
    Config schedule_options;                     ///< keys of the schedule
    std::int64_t microbatches, stages_per_rank;  ///< -1: not given
    SplitRule split;
  } parallel{};
  MetricsRule metrics;
  struct Watchdog {
    double timeout;  ///< seconds; 0: none
    bool heartbeat;
  } watchdog{};
};

/// Reads a job file, applies "key.path=value" overrides, resolves the model's preset and validates.
/// ConfigError with file, line, path and the nearest known key.
Job load_job(const std::string& path, const std::vector<std::string>& overrides);
/// The same from a tree, e.g. the job that a checkpoint carries.
Job resolve_job(Config tree);

/// The schedule of the learning rate has so many steps, in numbers and in `resolved`, whatever the job said.
void keep_schedule(Job& job, std::int64_t steps);

/// A model section {preset, plugin, keys…} → the model plugin's keys with the preset's under the given ones.
Config resolve_model(const Config& section);
/// Names of the presets that are installed.
std::vector<std::string> preset_names();

}  // namespace caravan::jobs
