#include "jobs/job/job.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

std::string text_or(const Config& map, std::string_view key, std::string otherwise) {
  const Config& node = map.find(key);
  return node.is_null() ? otherwise : node.as_string();
}

double number_or(const Config& map, std::string_view key, double otherwise) {
  const Config& node = map.find(key);
  return node.is_null() ? otherwise : node.as_float();
}

constexpr std::string_view kFrozen = "frozen";

bool freezes_schedule(const Config& train) {
  const Config& steps = train.find("schedule_steps");
  return !steps.is_null() && steps.text() == kFrozen;
}

LrSchedule read_lr(const Config& train) {
  LrSchedule lr;
  lr.lr = train.get_float("lr");
  const bool is_given = !train.find("schedule_steps").is_null() && !freezes_schedule(train);
  lr.total_steps = train.get_int(is_given ? "schedule_steps" : "steps");
  lr.warmup_steps = train.get_int("warmup_steps");
  lr.decay_ratio = number_or(train, "decay_ratio", -1);
  const std::string& decay = train.get_string("decay");
  lr.decay = decay == "cosine" ? LrSchedule::Decay::cosine
                               : (decay == "sqrt" ? LrSchedule::Decay::sqrt : LrSchedule::Decay::linear);
  lr.min_factor = train.get_float("min_lr_factor");
  return lr;
}

Job::Train read_train(const Config& train) {
  return {.steps = train.get_int("steps"),
          .sequence_length = train.get_int("sequence_length"),
          .local_batch_size = train.get_int("local_batch_size"),
          .global_batch_size = train.get_int("global_batch_size"),
          .max_norm = train.get_float("max_norm"),
          .log_every = train.get_int("log_every"),
          .recompute = read_recompute(train.at("recompute")),
          .lr = read_lr(train),
          .freezes_schedule = freezes_schedule(train),
          .precision = train.get_string("precision")};
}

std::vector<std::string> strings_or_none(const Config& node, const char* key) {
  const Config& list = node.find(key);
  return list.is_null() ? std::vector<std::string>{} : list.as_string_list();
}

Job::Checkpoint read_checkpoint(const Config& node) {
  return {.enabled = node.get_bool("enabled"),
          .every = node.get_int("every"),
          .keep_latest = node.get_int("keep_latest"),
          .keep_every = node.get_int("keep_every"),
          .initial_load = text_or(node, "initial_load", ""),
          .from = read_fork(node.find("from")),
          .resume = node.get_bool("resume"),
          .stop_on_failure = node.get_string("on_failure") == "stop",
          .async = node.get_bool("async"),
          .create_seed = node.get_bool("create_seed"),
          .exclude_from_loading = strings_or_none(node, "exclude_from_loading"),
          .exported = read_export(node.at("export")),
          .one_file = node.get_string("files") == "one",
          .allow_changes = strings_or_none(node, "allow_changes")};
}

/// Validates one section and puts it back with its defaults.
Config section(Config& resolved, const char* key, ParamSchema schema) {
  Config checked = validate(resolved.find(key), schema, fmt::format("section {}", key));
  resolved.set(key, checked);
  return checked;
}

/// With validation.samples as a map.
Job::Validation validation_section(Config& resolved) {
  Config given = resolved.find("validation");
  if (given.has("samples")) given.set("samples", resolve_samples(given.at("samples")));
  resolved.set("validation", given);
  const Config validation = section(resolved, "validation", kValidationParams);
  return {validation.get_int("every"), validation.get_int("batches"), validation.find("data"),
          read_samples(validation.find("samples"))};
}

/// With checkpoint.from as a map, and refused where there are two places to start from.
Config checkpoint_section(Config& resolved) {
  if (resolved.find("checkpoint").kind() == Config::Kind::map)
    check_export_word(resolved.at("checkpoint").find("export"));
  Config checkpoint = section(resolved, "checkpoint", kCheckpointParams);
  checkpoint.set("from", resolve_fork(checkpoint.find("from")));
  resolved.set("checkpoint", checkpoint);
  const std::string initial = text_or(checkpoint, "initial_load", "");
  CARAVAN_CHECK(
      initial.empty() || checkpoint.find("from").is_null(), ConfigError,
      fmt::format("{}: checkpoint.from with checkpoint.initial_load={} (a run starts from one place). "
                  "Leave one out?",
                  checkpoint.where(), initial));
  return checkpoint;
}

SplitRule read_split(const Config& node) {
  const auto layers = [&](const char* key) { return narrow<int>({key, node.get_int(key)}); };
  SplitRule rule{layers("first_stage_less"), layers("last_stage_less"), {}};
  const Config& list = node.find("layers_of_stages");
  if (list.is_null()) return rule;
  for (std::int64_t layers_of_stage : list.as_int_list())
    rule.blocks.push_back(narrow<int>({"layers_of_stages", layers_of_stage}));
  return rule;
}

/// The keys of a component. Where the job gives none, messages name the place where it names the component.
Config options_of(const Config& section, const char* options_key, const char* name_key) {
  const Config& given = section.find(options_key);
  if (!given.is_null()) return given;
  Config holder = section.emptied();
  holder.set(options_key, section.find(name_key).emptied());
  return holder.at(options_key);
}

Job::Parallel read_parallel(const Config& node) {
  return {.data_replicate = node.get_int("data_replicate"),
          .data_shard = node.get_int("data_shard"),
          .pipeline = node.get_int("pipeline"),
          .context = node.get_int("context"),
          .tensor = node.get_int("tensor"),
          .expert = node.get_int("expert"),
          .divides_experts_by_tensor = node.get_string("expert_tensor") == "tensor",
          .async_tensor = node.get_bool("async_tensor"),
          .rotates_in_ring = node.get_string("rotate") == "ring",
          .reshard = node.get_string("reshard"),
          .prefetch = node.get_int("prefetch"),
          .divide_optimizer = node.get_string("divide_optimizer"),
          .schedule = node.get_string("schedule"),
          .schedule_options = options_of(node, "schedule_options", "schedule"),
          .microbatches = node.get_int("microbatches"),
          .stages_per_rank = node.get_int("stages_per_rank"),
          .split = read_split(node)};
}

/// Takes the plugin's name out of a component's section.
std::string take_name(Config& section, std::string_view key, std::string otherwise) {
  std::string name = text_or(section, key, std::move(otherwise));
  section.erase(key);
  return name;
}

void fill_components(Job& job) {
  job.model_plugin = text_or(job.resolved.at("model"), "plugin", "llama4");
  job.model = resolve_model(job.resolved.at("model"));
  job.data = job.resolved.at("data");
  CARAVAN_CHECK(
      job.data.has("source"), ConfigError,
      fmt::format("{}: data.source is missing (tokens, text, safetensors, mix, synthetic, or a data plugin)",
                  job.data.where()));
  job.data_source = take_name(job.data, "source", "");
  const Config& optimizer = job.resolved.find("optimizer");
  job.optimizer = optimizer.is_null() ? optimizer.emptied() : optimizer;
  job.optimizer_name = take_name(job.optimizer, "name", "adamw");
  job.optimizer_groups = OptimizerGroups::read(job.optimizer.find("groups"));
  job.optimizer.erase("groups");
}

}  // namespace

Job resolve_job(Config tree) {
  Job job;
  job.resolved = validate(with_metrics_keys(std::move(tree)), kJobParams, "job");
  job.name = job.resolved.get_string("name");
  job.output = text_or(job.resolved, "output", "runs/" + job.name);
  job.resolved.set("output", job.output);
  job.device = job.resolved.get_string("device");
  job.device_options = options_of(job.resolved, "device_options", "device");
  job.seed = static_cast<std::uint64_t>(job.resolved.get_int("seed"));
  job.train = read_train(section(job.resolved, "train", kTrainParams));
  job.validation = validation_section(job.resolved);
  job.checkpoint = read_checkpoint(checkpoint_section(job.resolved));
  job.parallel = read_parallel(section(job.resolved, "parallel", kParallelParams));
  job.resolved.set("metrics", resolve_metrics(job.resolved.find("metrics")));
  job.metrics = read_metrics(job.resolved.at("metrics"));
  const Config watchdog = section(job.resolved, "watchdog", kWatchdogParams);
  job.watchdog = {watchdog.get_float("timeout"), watchdog.get_bool("heartbeat")};
  fill_components(job);
  job.checkpoint.exported.merges = !job.model.find("lora").is_null();
  return job;
}

void keep_schedule(Job& job, std::int64_t steps) {
  job.train.lr.total_steps = steps;
  job.train.freezes_schedule = false;
  Config train = job.resolved.at("train");
  train.set("schedule_steps", std::to_string(steps));
  job.resolved.set("train", std::move(train));
}

Job load_job(const std::string& path, const std::vector<std::string>& overrides) {
  Config tree = with_metrics_keys(Config::load(path));
  for (const std::string& assignment : overrides) {
    tree.override_with(assignment);
    tree = with_metrics_keys(std::move(tree));
  }
  return resolve_job(std::move(tree));
}

}  // namespace caravan::jobs
