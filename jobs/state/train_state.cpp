#include "jobs/state/train_state.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/misnamed.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/files/on_threads.hpp"
#include "jobs/job/job.hpp"
#include "jobs/state/state_tensors.hpp"
#include "jobs/state/weight_loader.hpp"

namespace caravan::jobs {
namespace {

using Globs = std::vector<std::string>;

bool matches(const Globs& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0; });
}

void check_globs(const io::CheckpointReader& reader, const Globs& excluded) {
  std::vector<std::string> names = reader.attribute_names();
  for (const io::TensorRecord& tensor : reader.tensors()) names.push_back(tensor.name);
  for (const std::string& glob : excluded) {
    const bool fits = std::any_of(names.begin(), names.end(),
                                  [&](const std::string& name) { return matches({glob}, name); });
    CARAVAN_CHECK(
        fits, ConfigError,
        fmt::format("checkpoint.exclude_from_loading: '{}' fits nothing in {} (its names are such as {}). "
                    "Misspelled?",
                    glob, reader.folder(), names.back()));
  }
}

/// Of all parts, whatever this rank holds of them.
std::vector<std::string> part_names(const StateTensor& tensor) {
  if (!tensor.fragment) return {tensor.group + tensor.name};
  std::vector<std::string> names;
  for (const ParameterPart& part : tensor.fragment->parameter->spec().parts)
    names.push_back(tensor.group + part.name);
  return names;
}

/// Parts of a block are excluded together or not at all: a device is given whole blocks.
bool is_excluded(const StateTensor& tensor, const Globs& excluded) {
  const std::vector<std::string> all = part_names(tensor);
  const std::ptrdiff_t parts = std::ssize(all),
                       hits = std::count_if(all.begin(), all.end(),
                                            [&](const std::string&name) { return matches(excluded, name); });
  CARAVAN_CHECK(
      hits == 0 || hits == parts, ConfigError,
      fmt::format("checkpoint.exclude_from_loading names {} of the {} parts of {}{} (they are one block in "
                  "memory). Name all of them?",
                  hits, parts, tensor.group, tensor.name));
  return hits > 0;
}

constexpr const char* kAnotherRunsRemedy =
    "Another output, the job that caravan inspect --job prints, or, where only the optimizer is another, "
    "checkpoint.exclude_from_loading=[/optimizer/*]?";
constexpr const char* kForksRemedy =
    "checkpoint.from.what=model, which takes its weights alone, or, where only the optimizer is another, "
    "checkpoint.exclude_from_loading=[/optimizer/*]?";

/// Refuses a checkpoint of another model or optimizer: whatever is missing, has another shape, or would be
/// left behind unread, unless it is excluded. `remedy`: what a refusal ends with.
void check_same_tensors(const io::CheckpointReader& reader, const ParameterStore& whole_model,
                        const std::vector<std::string>& slots, const Globs& excluded, const char* remedy) {
  const auto refuse = [&](const std::string& problem) {
    throw IoError(fmt::format("{} does not fit the job: {} (it holds another model or optimizer). {}",
                              reader.folder(), problem, remedy));
  };
  std::set<std::string> wanted;
  const auto check = [&](const StatePart& part) {
    if (!reader.has(part.name)) refuse(part.name + " is missing in it");
    const Shape stored = reader.info(part.name).shape;
    if (stored != part.shape)
      refuse(fmt::format("{} is {} instead of {}", part.name, to_string(stored), to_string(part.shape)));
    wanted.insert(part.name);
  };
  for (const StateTensor& tensor : state_tensors(whole_model, slots, {})) {
    if (is_excluded(tensor, excluded)) continue;
    for (const StatePart& part : parts_of(tensor, tensor.view)) check(part);
  }
  for (const io::TensorRecord& tensor : reader.tensors()) {
    const bool unused =
        tensor.name.starts_with("/other/") || (slots.empty() && tensor.name.starts_with("/optimizer/"));
    if (!unused && !wanted.contains(tensor.name) && !matches(excluded, tensor.name))
      refuse(tensor.name + " is not in the job");
  }
}

void read_tensors(const io::CheckpointReader& reader, Device& device, ParameterStore& store,
                  const std::vector<std::string>& slots, const Globs& excluded, Whereabouts* whereabouts) {
  WeightLoader loader(device, store);
  const int threads = io::threads_for_bytes();
  for (const StateTensor& tensor : state_tensors(store, slots, {})) {
    enter(whereabouts, "reading a checkpoint");
    if (is_excluded(tensor, excluded)) continue;
    if (!tensor.is_weights()) {
      store.set(tensor.view, [&](const TensorView& values) {
        for (const StatePart& part : parts_of(tensor, values))
          reader.read_block(part.name, part.box.origin, part.view, threads);
      });
      continue;
    }
    const auto type_of = [&](const std::string& part) { return reader.info(tensor.group + part).dtype; };
    loader.load(*tensor.fragment, type_of,
                [&](const std::string& part, const Box& box, const TensorView& to, int others) {
                  reader.read_block(tensor.group + part, box.origin, to, others);
                });
  }
}

std::int64_t count(const io::CheckpointReader& reader, const std::string& name) {
  const io::CheckpointValue value = reader.attribute(name);
  const auto* number = std::get_if<std::int64_t>(&value);
  CARAVAN_CHECK(number, IoError, fmt::format("{} of {} is no whole number", name, reader.folder()));
  return io::checked_count(*number, fmt::format("{} of {}", name, reader.folder()));
}

}  // namespace

bool is_ignored(const std::string& checkpoint) {
  const auto why = io::misnamed(checkpoint);
  if (why) log_warning(fmt::format("ignored {}: {}", checkpoint, *why));
  return why.has_value();
}

void refuse_to_mix(const std::string& output) {
  for (const std::string& path : io::newest_first(output)) {
    CARAVAN_CHECK(is_ignored(path), ConfigError,
                  fmt::format("{} holds checkpoints up to step {} and checkpoint.resume is false (two runs "
                              "would mix). Name another output, or move them away?",
                              output, *io::step_of(std::filesystem::path(path).filename().string())));
  }
}

void check_seed(const Job& job, std::int64_t step) {
  CARAVAN_CHECK(
      !job.checkpoint.create_seed || step == 0, ConfigError,
      fmt::format("checkpoint.create_seed with a run at step {} (a seed is the checkpoint of step 0). "
                  "Another output?",
                  step));
}

void check_whole_load(const Job& job) {
  CARAVAN_CHECK(
      job.checkpoint.exclude_from_loading.empty(), ConfigError,
      fmt::format("checkpoint.exclude_from_loading with {}={} (it is for resuming; weights to start from are "
                  "loaded whole). Leave one out?",
                  job.checkpoint.from.is_given() ? "checkpoint.from" : "checkpoint.initial_load",
                  job.checkpoint.from.is_given() ? job.checkpoint.from.run : job.checkpoint.initial_load));
}

void check_fits(const io::CheckpointReader& reader, const Job& job, const ParameterStore& whole_model,
                const std::vector<std::string>& slots) {
  const Globs& excluded = job.checkpoint.exclude_from_loading;
  check_globs(reader, excluded);
  check_same_tensors(reader, whole_model, slots, excluded,
                     job.checkpoint.from.is_given() ? kForksRemedy : kAnotherRunsRemedy);
}

Progress load_state(const io::CheckpointReader& reader, const Job& job, const RankState& state,
                    Whereabouts& whereabouts) {
  const Globs& excluded = job.checkpoint.exclude_from_loading;
  if (!excluded.empty()) state.parameters.initialise(job.seed);
  read_tensors(reader, state.device, state.parameters, state.slots, excluded, &whereabouts);
  const auto is_wanted = [&](const char* name) { return !matches(excluded, name); };
  return {.step = reader.step(),
          .tokens_seen = reader.tokens_seen(),
          .next_sample = is_wanted(Progress::kNextSample) ? count(reader, Progress::kNextSample) : 0,
          .owes_validation =
              is_wanted(Progress::kOwesValidation) && reader.has_attribute(Progress::kOwesValidation)};
}

void load_weights(const io::CheckpointReader& reader, Device& device, ParameterStore& parameters,
                  const ParameterStore& stored) {
  check_same_tensors(reader, stored, {}, {}, kAnotherRunsRemedy);
  read_tensors(reader, device, parameters, {}, {}, nullptr);
}

}  // namespace caravan::jobs
