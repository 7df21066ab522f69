#include "jobs/plan/paper_check.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "caravan/check.hpp"
#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/reader.hpp"
#include "jobs/identity/run_folder.hpp"
#include "jobs/identity/same_run.hpp"
#include "jobs/plan/data_use.hpp"
#include "jobs/plan/samples.hpp"
#include "jobs/plan/validation_pass.hpp"
#include "jobs/state/fork_candidates.hpp"
#include "jobs/state/model_source.hpp"
#include "jobs/state/train_state.hpp"

namespace caravan::jobs {
namespace {

/// The first of these, newest first, that is whole fits the job; its step, or nothing when there is none at
/// all.
std::optional<std::int64_t> fits_one(TrainSetup& setup, const RunIdentity& identity,
                                     const std::vector<std::string>& candidates) {
  std::string problem;
  for (const std::string& path : candidates) {
    if (is_ignored(path)) continue;
    std::optional<io::CheckpointReader> reader;
    try {
      reader.emplace(io::CheckpointReader::open(path, io::Check::structure));
    } catch (const IoError& error) {
      problem = error.message();
      continue;
    }
    check_same_run(*reader, setup.going_on(identity));
    check_fits(*reader, setup.job(), setup.whole_model().parameters(), setup.slots());
    return reader->step();
  }
  CARAVAN_CHECK(problem.empty(), IoError,
                fmt::format("no checkpoint in {} can be read: {}. Restore one, or move them away?",
                            std::filesystem::path(candidates.front()).parent_path().string(), problem));
  return std::nullopt;
}

/// How it says from what the run starts; here and below.
std::string check_weights(TrainSetup& setup, const RunIdentity& identity, const std::string& model) {
  check_whole_load(setup.job());
  check_same_tokenizer(model, setup.job(), identity);
  const bool adapts_anew = check_weights_from(model, setup.whole_model().parameters());
  return fmt::format("with the weights of {}{}", model,
                     adapts_anew ? "; it has no adapters, those of model.lora start anew" : "");
}

std::string check_fork(TrainSetup& setup, const RunIdentity& identity) {
  const ForkRule& from = setup.job().checkpoint.from;
  const std::vector<std::string> found = fork_candidates(setup.job());
  if (from.model_alone) return check_weights(setup, identity, from.step ? found.front() : from.run);
  const auto step = fits_one(setup, identity, found);
  CARAVAN_CHECK(step, IoError,
                fmt::format("no checkpoint of {} can be read. Another run or step?", from.run));
  check_fork_goes_on(setup.job(), *step);
  check_seed(setup.job(), *step);
  return fmt::format("behind step {} of {}", *step, from.run);
}

std::string check_start(TrainSetup& setup, const RunIdentity& identity) {
  const Job::Checkpoint& wanted = setup.job().checkpoint;
  if (!wanted.resume) refuse_to_mix(setup.job().output);
  if (wanted.resume) {
    if (const auto step = fits_one(setup, identity, io::newest_first(setup.job().output))) {
      check_seed(setup.job(), *step);
      return fmt::format("behind step {} of its own", *step);
    }
  }
  if (wanted.from.is_given()) return check_fork(setup, identity);
  if (!wanted.initial_load.empty()) return check_weights(setup, identity, wanted.initial_load);
  return fmt::format(
      "with weights drawn from the seed{}",
      setup.job().model.find("lora").is_null()
          ? ""
          : ", which adapters of model.lora then adapt (checkpoint.initial_load brings a base)");
}

}  // namespace

void PaperCheck::check(const Job& job) {
  PaperWorld world(0, ranks_);
  TrainSetup setup(job, world, device_);
  check(setup);
}

PaperCheck::Found PaperCheck::check(TrainSetup& setup) {
  check_stages(setup);
  const OpenedData& data = open_data(setup);
  return {data.use, check_start(setup, data.identity)};
}

/// A budget for activations is of each rank: stages differ in size.
void PaperCheck::check_stages(TrainSetup& setup) const {
  const Job& job = setup.job();
  if (job.train.recompute.kind != RecomputeRule::Kind::budget) return;
  for (const int rank : setup.mesh().layout().group(0, MeshAxis::pp)) {
    if (rank == 0) continue;
    PaperWorld world(rank, ranks_);
    try {
      TrainSetup(job, world, device_);
    } catch (Error& error) {
      error.add_context(fmt::format("rank {}", rank));
      throw;
    }
  }
}

const PaperCheck::OpenedData& PaperCheck::open_data(TrainSetup& setup) {
  const Job& job = setup.job();
  const std::string key = fmt::format(
      "{}\n{}\n{} {} {} {} {} {} {} {} {}", job.resolved.at("data").to_yaml(),
      job.resolved.at("validation").to_yaml(), job.validation.every, job.validation.batches,
      job.train.local_batch_size, job.train.sequence_length, setup.whole_model().stage().vocab_size(),
      setup.device().name(), name_of(setup.compute()), job.train.steps, setup.share().global_batch);
  if (const auto known = opened_.find(key); known != opened_.end()) return known->second;
  const auto source = setup.open_data({});
  const OpenedData opened{identify(setup.device(), setup.compute(), *source, *make_single_communicator()),
                          describe_use(*source, samples_of_run(job, setup.share()))};
  check_tokenizer_of_data(opened.identity.data);
  check_enough_samples(job, setup.share(), *source);
  if (job.validation.samples.is_wanted())
    sample_prompts(job, opened.identity.data, setup.whole_model().stage().vocab_size());
  if (job.validation.is_wanted()) {
    const auto validation = open_validation_data(setup);
    validation_batches(job, *validation);
    check_validation_tokenizer(job, opened.identity.data, validation->identity());
  }
  return opened_.emplace(key, opened).first->second;
}

void check_layout(const Job& job, int ranks) {
  divide_batch(job, mesh_layout(job, ranks), 0);
}

}  // namespace caravan::jobs
