#include "jobs/train/checkpoint_saver.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/fingerprint.h"
#include "caravan/log.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/one_file.hpp"
#include "io/checkpoint/space.hpp"
#include "jobs/identity/run_folder.hpp"
#include "jobs/setup/gather.hpp"

namespace caravan::jobs {
namespace {

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Of all ranks' files: what rank 0 looks for on the disk before anybody writes.
std::uint64_t space_of_all(Communicator& world, const std::vector<io::Piece>& pieces) {
  auto bytes = static_cast<std::int64_t>(io::space_for(pieces));
  world.all_reduce(TensorView(&bytes, DType::i64, {1}), ReduceOp::sum);
  return static_cast<std::uint64_t>(bytes);
}

std::vector<io::TensorRecord> tensors_of_all(Communicator& world, const std::vector<io::Piece>& pieces) {
  io::Manifest all;
  for (const std::string& outline : gather_texts(world, io::to_text(io::outline_of(pieces))))
    all.files.push_back(io::file_record_from(outline));
  return io::tensors_of(all);
}

CheckpointSaver::Target::Files files_of(const Job& job) {
  return job.checkpoint.one_file ? CheckpointSaver::Target::Files::one
                                 : CheckpointSaver::Target::Files::shards;
}

/// Nothing may leave a thread but its outcome.
template <class Outcome, class Body>
Outcome guarded(Body&& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    return {{}, error.what(), {}};
  }
}

}  // namespace

CheckpointSaver::Target CheckpointSaver::checkpoints_of(const Job& job) {
  const bool beside = job.checkpoint.enabled && job.checkpoint.async;
  return {job.output + "/checkpoints",
          CheckpointContent::everything,
          DType::f32,
          beside ? Target::Writing::beside_training : Target::Writing::at_once,
          files_of(job),
          {job.checkpoint.keep_latest, job.checkpoint.keep_every}};
}

CheckpointSaver::Target CheckpointSaver::export_of(const Job& job) {
  return {job.output + "/export",
          CheckpointContent::weights,
          job.checkpoint.export_weights == "bf16" ? DType::bf16 : DType::f32,
          Target::Writing::at_once,
          files_of(job),
          {0, 0}};
}

CheckpointSaver::CheckpointSaver(TrainSetup& setup, Communicator& world, const io::RunLock* lock,
                                 Target target)
    : setup_(setup),
      world_(world),
      lock_(lock),
      target_(std::move(target)),
      share_(setup, target_.content, target_.weights),
      snapshot_(target_.writing == Target::Writing::beside_training
                    ? std::make_unique<io::Snapshot>(share_.pieces())
                    : nullptr),
      all_space_(space_of_all(world, share_.pieces())) {
  if (snapshot_) pinned_.emplace(setup.device(), snapshot_->memory());
  if (target_.files == Target::Files::one) tensors_ = tensors_of_all(world, share_.pieces());
}

void CheckpointSaver::begin(const Progress& progress, OnFailure on_failure) {
  finish();
  on_failure_ = on_failure;
  begin_ = Clock::now();
  head_ = {progress.step,
           progress.tokens_seen,
           setup_.job().resolved.to_yaml(),
           setup_.mesh().layout().describe(),
           "caravan " CARAVAN_VERSION,
           target_.values};
  head_.values.emplace_back("/state/next_sample", progress.next_sample);
  check_owner();
  if (!open_folder()) return;
  if (snapshot_) share_.copy_to(*snapshot_);
  copied_ = Clock::now();
  target_.files == Target::Files::one ? start_preparing() : start_writing();
  if (!snapshot_) finish();
}

/// Nobody writes into a run that another has taken over.
void CheckpointSaver::check_owner() {
  const auto outcome = guarded<Outcome>([&]() -> Outcome {
    if (lock_) lock_->check();
    return {};
  });
  const std::string problem = broadcast_text(world_, outcome.problem);
  CARAVAN_CHECK(problem.empty(), IoError, problem);
}

/// Rank 0 makes the folder, after what may be in its way; the others learn its name.
bool CheckpointSaver::open_folder() {
  const auto outcome = guarded<Outcome>([&]() -> Outcome {
    if (world_.rank() != 0) return {};
    io::remove_stale(target_.folder);  // what a killed run left may be the space that is missing
    staging_.emplace(target_.folder, io::step_folder(head_.step));
    io::check_space(staging_->path(), all_space_);
    return {staging_->path(), {}, {}};
  });
  folder_ = broadcast_text(world_, outcome.result);
  const std::string problem = broadcast_text(world_, outcome.problem);
  if (!problem.empty()) end(problem);
  return problem.empty();
}

void CheckpointSaver::start_task(const std::function<Outcome()>& body) {
  task_ = std::async(snapshot_ ? std::launch::async : std::launch::deferred,
                     [body] { return guarded<Outcome>(body); });
}

/// Before all ranks can write into one file, one of them makes it.
void CheckpointSaver::start_preparing() {
  phase_ = Phase::preparing;
  if (world_.rank() != 0) return;
  start_task([this]() -> Outcome {
    return {io::to_text(io::prepare_file(folder_, head_, tensors_)), {}, {}};
  });
}

void CheckpointSaver::start_writing() {
  phase_ = Phase::writing;
  start_task([this] { return write(); });
}

CheckpointSaver::Outcome CheckpointSaver::write() {
  if (share_.pieces().empty()) return {};
  const auto elements = [this](std::size_t piece) {
    return snapshot_ ? snapshot_->elements(piece) : share_.elements(piece);
  };
  const io::FileRecord record =
      prepared_ ? io::fill_file(folder_, *prepared_, share_.pieces(), elements)
                : io::write_share(folder_, world_.rank(), world_.size(), head_, share_.pieces(), elements);
  return {io::to_text(record), {}, {}};
}

void CheckpointSaver::start_publishing(const std::vector<std::string>& records) {
  phase_ = Phase::publishing;
  if (world_.rank() != 0) return;
  start_task([this, records] { return publish(records); });
}

/// A checkpoint without it is better than none.
CheckpointSaver::Outcome CheckpointSaver::add_tokenizer_of_run() const {
  if (target_.run.empty()) return {};
  const Outcome added = guarded<Outcome>([&]() -> Outcome {
    add_tokenizer(target_.run, staging_->path());
    return {};
  });
  if (added.problem.empty()) return {};
  return {{}, {}, {fmt::format("checkpoint of step {} lacks its tokenizer: {}", head_.step, added.problem)}};
}

CheckpointSaver::Outcome CheckpointSaver::publish(const std::vector<std::string>& records) {
  std::vector<io::FileRecord> shares;
  for (const std::string& record : records) {
    if (!record.empty()) shares.push_back(io::file_record_from(record));
  }
  if (prepared_) shares = {io::join(*prepared_, shares)};
  Outcome outcome = add_tokenizer_of_run();
  outcome.result = io::publish(*staging_, head_, std::move(shares), lock_);
  if (target_.keep.latest == 0) return outcome;
  for (const io::Skipped& skipped : io::prune(target_.folder, target_.keep).problems)
    outcome.warnings.push_back(fmt::format("kept {}: {}", skipped.path, skipped.why));
  return outcome;
}

void CheckpointSaver::poll() {
  if (phase_ == Phase::idle) return;
  const bool runs = task_.valid() && task_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
  if (is_true_anywhere(world_, runs)) return;
  const Outcome mine = task_.valid() ? task_.get() : Outcome{};
  const std::string problem = first_text(world_, mine.problem);
  if (!problem.empty()) return end(problem);
  if (phase_ == Phase::preparing) {
    prepared_ = io::file_record_from(broadcast_text(world_, mine.result));
    return start_writing();
  }
  if (phase_ == Phase::writing) return start_publishing(gather_texts(world_, mine.result));
  for (const std::string& warning : mine.warnings) log_warning(warning);
  if (world_.rank() == 0)
    log_info(fmt::format("checkpoint {} in {:.2f} s, of which training waited {:.3f} s", mine.result,
                         seconds(Clock::now() - begin_), seconds(copied_ - begin_)));
  end("");
}

void CheckpointSaver::finish() {
  while (phase_ != Phase::idle) {
    if (task_.valid()) task_.wait();
    poll();
  }
}

void CheckpointSaver::end(const std::string& problem) {
  phase_ = Phase::idle;
  staging_.reset();  // removes what was not put in place
  prepared_.reset();
  if (problem.empty()) return;
  if (on_failure_ == OnFailure::stop)
    throw IoError(fmt::format("checkpoint of step {} failed: {}", head_.step, problem));
  log_warning(fmt::format("checkpoint of step {} failed, older ones are untouched, training goes on: {}",
                          head_.step, problem));
}

}  // namespace caravan::jobs
