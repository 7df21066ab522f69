#include "jobs/identity/same_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/hf/model_path.hpp"
#include "jobs/identity/job_changes.hpp"
#include "jobs/identity/rate_change.hpp"
#include "jobs/identity/run_folder.hpp"
#include "jobs/identity/stored_job.hpp"

namespace caravan::jobs {
namespace {

/// The keys of `mine` that `other` has too: what one side does not know is not compared.
Config known_to_both(const Config& mine, const Config& other) {
  Config both = Config::map();
  for (const auto& [key, value] : mine.entries()) {
    const Config& theirs = other.find(key);
    if (theirs.is_null()) continue;
    both.set(key, value.kind() == Config::Kind::map ? known_to_both(value, theirs) : value);
  }
  return both;
}

Config without(Config tree, const char* section, const char* key) {
  Config changed = tree.find(section);
  changed.erase(key);
  tree.set(section, std::move(changed));
  return tree;
}

/// Versions before stored -1 for whatever the number of ranks gave.
bool has_open_batch(const Config& job) {
  const Config& batch = job.find("train").find("global_batch_size");
  return batch.kind() == Config::Kind::scalar && batch.text() == "-1";
}

/// Globs that the job `now` may give; a key that it has not, of another optimizer or list, goes by its
/// section.
std::string names_of(const std::vector<Difference>& differences, const Config& now) {
  const auto known = leaves_of(now);
  std::vector<std::string> names;
  for (const Difference& each : differences) {
    const bool is_known =
        std::ranges::any_of(known, [&](const auto& leaf) { return leaf.first == each.key; });
    names.push_back(is_known || each.key.starts_with("data.digest") || each.key.starts_with("data.tokens") ||
                            each.key.starts_with("data.tokenizer_digest")
                        ? each.key
                        : each.key.substr(0, each.key.find('.')) + ".*");
  }
  std::set<std::string> said;
  std::erase_if(names, [&](const std::string& name) { return !said.insert(name).second; });
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Paths lead elsewhere, but to the same tokens.
bool is_moved(const JobChanges& changes, const RunIdentity& stored, const RunIdentity& now) {
  const auto is_path = [](const Difference& change) {
    return change.key.starts_with("data.") && change.key.ends_with(".path");
  };
  return std::ranges::all_of(changes.refused, is_path) && !stored.data.digest.empty() &&
         stored.data.digest == now.data.digest;
}

void warn_of_unknown(const io::CheckpointReader& reader, const RunIdentity& stored, const RunIdentity& now) {
  const bool lacks_data = stored.data.digest.empty() && !now.data.digest.empty();
  const bool lacks_tokenizer = stored.data.tokenizer_digest.empty() && !now.data.tokenizer_digest.empty();
  if (!lacks_data && !lacks_tokenizer) return;
  log_warning(
      fmt::format("{} does not say which {} it was trained {} (it has no digest of it). That it is the "
                  "same is not checked",
                  reader.folder(), lacks_data ? "data" : "tokenizer", lacks_data ? "on" : "with"));
}

/// Both jobs with what is known of both runs; nothing when the stored one is none.
std::optional<std::pair<Config, Config>> to_compare(const io::CheckpointReader& reader, const GoingOn& run,
                                                    const RunIdentity& stored) {
  const Config known = stored.facts(), facts = run.identity.facts();
  try {
    Config before = stored_job(reader.job_yaml(), run.job, run.registry), mine = run.job.resolved;
    before.merge(known_to_both(known, facts));
    mine.merge(known_to_both(facts, known));
    if (!has_open_batch(before)) return std::pair(before, mine);
    return std::pair(without(before, "train", "global_batch_size"),
                     without(mine, "train", "global_batch_size"));
  } catch (const ConfigError& error) {
    log_warning(
        fmt::format("{} carries a job that this caravan cannot read (it is not compared with this one): {}",
                    reader.folder(), error.message()));
    return std::nullopt;
  }
}

/// It is another run's, off which this one would branch.
bool is_fork(const io::CheckpointReader& reader, const Job& job) {
  std::error_code ignored;
  const std::string run = run_of_checkpoint(reader.folder());
  return job.checkpoint.from.is_given() && !std::filesystem::equivalent(run, job.output, ignored);
}

/// Optimizer state is of the parameters that are trained, which adapters change: no allowed change takes it
/// over, but weights start any model that they fit.
std::string remedy(const io::CheckpointReader& reader, const std::vector<Difference>& changes, const Job& job,
                   const Config& now) {
  const std::string weights =
      is_fork(reader, job)
          ? "checkpoint.from.what=model, which takes its weights alone"
          : fmt::format(
                "another output with checkpoint.from={{run: {}, what: model}}, which takes its weights",
                job.output);
  if (std::ranges::any_of(changes, [](const Difference& each) { return each.key.starts_with("model.lora"); }))
    return fmt::format("The former adapters, or {}?", weights);
  const std::string allowed = fmt::format("checkpoint.allow_changes=[{}]", names_of(changes, now));
  return is_fork(reader, job) ? fmt::format("The former values, {}, or {}?", allowed, weights)
                              : fmt::format("Another output, the former values, or {}?", allowed);
}

void refuse(const io::CheckpointReader& reader, const std::vector<Difference>& changes,
            const std::string& remedy, const std::string& note) {
  throw IoError(fmt::format(
      "{} was written by another run: {} (this changes the function or the order of samples{}). {}",
      reader.folder(), changes_text(changes), note, remedy));
}

void say(const JobChanges& changes) {
  if (!changes.said.empty()) log_info("changed since the checkpoint: " + changes_text(changes.said));
  if (!changes.allowed.empty())
    log_warning("changed since the checkpoint, as checkpoint.allow_changes says: " +
                changes_text(changes.allowed));
}

}  // namespace

void check_same_run(const io::CheckpointReader& reader, const GoingOn& run) {
  const RunIdentity stored = stored_identity(reader);
  const auto jobs = to_compare(reader, run, stored);
  if (!jobs) return;
  JobChanges changes = sort_changes(jobs->first, jobs->second, run.job.checkpoint.allow_changes);
  if (!changes.refused.empty())
    refuse(reader, changes.refused, remedy(reader, changes.refused, run.job, jobs->second),
           is_moved(changes, stored, run.identity) ? "; its tokens are the same by their digest" : "");
  warn_of_unknown(reader, stored, run.identity);
  const std::string layout = run.layout.describe();
  if (reader.layout() != layout) changes.said.push_back({"layout", reader.layout(), layout});
  const RateChange rate = rate_change(reader.job_yaml(), run.job, reader.step());
  if (rate.said) changes.said.push_back(*rate.said);
  say(changes);
  if (!rate.frozen.empty()) log_info(rate.frozen);
  if (!rate.warm_restart.empty()) log_warning(rate.warm_restart);
}

void check_same_tokenizer(const std::string& initial_load, const Job& job, const RunIdentity& now) {
  const io::ModelPath path = io::resolve_model_path(initial_load);
  if (path.kind != io::ModelPath::Kind::checkpoint) return;
  RunIdentity theirs, mine;
  theirs.data.tokenizer_digest =
      stored_identity(io::CheckpointReader::open(path.path, io::Check::structure)).data.tokenizer_digest;
  mine.data.tokenizer_digest = now.data.tokenizer_digest;
  if (theirs.data.tokenizer_digest.empty() || mine.data.tokenizer_digest.empty()) return;
  const JobChanges changes = sort_changes(theirs.facts(), mine.facts(), job.checkpoint.allow_changes);
  CARAVAN_CHECK(
      changes.refused.empty(), IoError,
      fmt::format(
          "{} was trained with the tokenizer {} (the data was made with {}). Data of its tokenizer, or "
          "checkpoint.allow_changes=[data.tokenizer_digest]?",
          path.path, theirs.data.tokenizer_digest, mine.data.tokenizer_digest));
}

}  // namespace caravan::jobs
