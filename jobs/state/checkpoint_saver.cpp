#include "jobs/state/checkpoint_saver.hpp"

#include <fmt/format.h>

#include <array>
#include <thread>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/notes.hpp"
#include "io/checkpoint/one_file.hpp"
#include "io/checkpoint/space.hpp"
#include "jobs/identity/run_folder.hpp"
#include "jobs/setup/gather.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/state/file_records.hpp"

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
  all.files = gather_records(world, io::outline_of(pieces));
  return io::tensors_of(all);
}

constexpr const char* kPrepared = "prepared";
// Between two looks for another rank's note, and between two agreements of ranks that wait for the disk.
constexpr std::chrono::milliseconds kBetweenLooks{10};

std::string note_of(int rank) {
  return fmt::format("written-{:05d}", rank);
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

CheckpointSaver::CheckpointSaver(RankState state, Communicator& world, const io::RunLock* lock,
                                 CheckpointTarget target)
    : world_(world),
      lock_(lock),
      target_(std::move(target)),
      share_(std::move(state), target_.content, target_.weights),
      snapshot_(target_.writing == CheckpointTarget::Writing::beside_training
                    ? std::make_unique<io::Snapshot>(share_.pieces())
                    : nullptr),
      all_space_(space_of_all(world, share_.pieces())) {
  if (snapshot_) pinned_.emplace(share_.device(), snapshot_->memory());
  if (is_one_file()) tensors_ = tensors_of_all(world, share_.pieces());
}

CheckpointSaver::~CheckpointSaver() {
  given_up_ = true;
}

void CheckpointSaver::begin(const Progress& progress, OnFailure on_failure) {
  finish();
  on_failure_ = on_failure;
  begin_ = Clock::now();
  head_ = target_.head;
  head_.step = progress.step;
  head_.tokens_seen = progress.tokens_seen;
  head_.values.emplace_back(Progress::kNextSample, progress.next_sample);
  if (progress.owes_validation) head_.values.emplace_back(Progress::kOwesValidation, std::int64_t{1});
  if (!open_folder()) return;
  if (!snapshot_) return save_now();
  share_.copy_to(*snapshot_);
  copied_ = Clock::now();
  under_way_ = true;
  task_ =
      std::async(std::launch::async, [this] { return guarded<Outcome>([this] { return save_beside(); }); });
}

/// Rank 0 makes the folder, after what may be in its way; the others learn its name. Nobody writes into a run
/// that another has taken over.
bool CheckpointSaver::open_folder() {
  std::string taken_over;
  const auto outcome = guarded<Outcome>([&]() -> Outcome {
    if (world_.rank() != 0) return {};
    try {
      if (lock_) lock_->check();
    } catch (const io::TakenOver& error) {
      taken_over = error.what();
      return {};
    }
    io::remove_stale(target_.folder);  // what a killed run left may be the space that is missing
    staging_.emplace(target_.folder, io::step_folder(head_.step));
    io::check_space(staging_->path(), all_space_);
    return {staging_->path(), {}, {}};
  });
  taken_over = broadcast_text(world_, taken_over);
  CARAVAN_CHECK(taken_over.empty(), IoError, taken_over);
  folder_ = broadcast_text(world_, outcome.result);
  const std::string problem = broadcast_text(world_, outcome.problem);
  if (!problem.empty()) end(problem);
  return problem.empty();
}

std::optional<io::FileRecord> CheckpointSaver::write() {
  if (share_.pieces().empty()) return std::nullopt;
  const auto elements = [this](std::size_t piece) {
    if (snapshot_) return snapshot_->elements(piece);
    target_.report();  // on the rank's own thread
    return share_.elements(piece);
  };
  return prepared_ ? io::fill_file(folder_, *prepared_, share_.pieces(), elements)
                   : io::write_share(folder_, world_.rank(), world_.size(), head_, share_.pieces(), elements);
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

CheckpointSaver::Outcome CheckpointSaver::publish(std::vector<io::FileRecord> shares) {
  if (world_.rank() != 0) return {};
  if (prepared_) shares = {io::join(*prepared_, shares)};
  Outcome outcome = add_tokenizer_of_run();
  outcome.result = io::publish(*staging_, head_, std::move(shares), lock_);
  took_ = Clock::now() - begin_;
  if (target_.keep.latest == 0) return outcome;
  for (const io::Skipped& skipped : io::prune(target_.folder, target_.keep, head_.step).problems)
    outcome.warnings.push_back(fmt::format("kept {}: {}", skipped.path, skipped.why));
  return outcome;
}

/// [every rank] What `body` gives on this rank; nothing, and the checkpoint has ended, when it fails on any.
std::optional<CheckpointSaver::Outcome> CheckpointSaver::together(const std::function<Outcome()>& body) {
  Outcome mine = guarded<Outcome>(body);
  const std::string problem = first_text(world_, mine.problem);
  if (problem.empty()) return mine;
  end(problem);
  return std::nullopt;
}

void CheckpointSaver::save_now() {
  copied_ = Clock::now();
  if (is_one_file() && !prepare_now()) return;
  std::optional<io::FileRecord> record;
  const auto written = together([&]() -> Outcome {
    record = write();
    return {};
  });
  if (!written) return;
  std::vector<io::FileRecord> shares = gather_records(world_, std::move(record));
  const auto published = together([&] { return publish(std::move(shares)); });
  if (!published) return;
  copied_ = Clock::now();
  report(*published);
  end("");
}

/// Before all ranks can write into one file, one of them makes it.
bool CheckpointSaver::prepare_now() {
  std::optional<io::FileRecord> made;
  const auto prepared = together([&]() -> Outcome {
    if (world_.rank() == 0) made = io::prepare_file(folder_, head_, tensors_);
    return {};
  });
  if (prepared) prepared_ = broadcast_record(world_, std::move(made));
  return prepared.has_value();
}

CheckpointSaver::Outcome CheckpointSaver::save_beside() {
  if (is_one_file()) {
    prepared_ = prepare_beside();
    if (!prepared_) return {};
  }
  std::optional<io::FileRecord> record = write();
  if (world_.rank() == 0) return publish_beside(std::move(record));
  io::Notes(folder_).leave(note_of(world_.rank()), record ? io::to_text(*record) : "");
  return {};
}

std::optional<io::FileRecord> CheckpointSaver::prepare_beside() {
  if (world_.rank() == 0) {
    io::FileRecord record = io::prepare_file(folder_, head_, tensors_);
    io::Notes(folder_).leave(kPrepared, io::to_text(record));
    return record;
  }
  const auto record = await(kPrepared);
  return record ? std::optional(io::file_record_from(*record)) : std::nullopt;
}

CheckpointSaver::Outcome CheckpointSaver::publish_beside(std::optional<io::FileRecord> own) {
  std::vector<io::FileRecord> shares;
  if (own) shares.push_back(std::move(*own));
  for (int rank = 1; rank < world_.size(); ++rank) {
    const auto theirs = await(note_of(rank));
    if (!theirs) return {};
    if (!theirs->empty()) shares.push_back(io::file_record_from(*theirs));
  }
  io::Notes(folder_).remove_all();
  return publish(std::move(shares));
}

std::optional<std::string> CheckpointSaver::await(const std::string& note) const {
  const io::Notes notes(folder_);
  while (!given_up_) {
    if (auto text = notes.find(note)) return text;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return std::nullopt;
}

void CheckpointSaver::poll() {
  if (!under_way_) return;
  if (!mine_ && task_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) mine_ = task_.get();
  std::array<std::int32_t, 2> any{mine_ ? 0 : 1, mine_ && !mine_->problem.empty() ? 1 : 0};
  world_.all_reduce(TensorView(any.data(), DType::i32, {2}), ReduceOp::max);
  if (any[1] != 0) given_up_ = true;
  if (any[0] != 0) return;
  const std::string problem = first_text(world_, mine_->problem);
  if (problem.empty()) report(*mine_);
  end(problem);
}

void CheckpointSaver::finish() {
  while (under_way_) {
    if (task_.valid()) task_.wait_for(kBetweenLooks);
    poll();
  }
}

void CheckpointSaver::report(const Outcome& outcome) {
  if (world_.rank() != 0) return;
  for (const std::string& warning : outcome.warnings) {
    if (said_.insert(warning).second) log_warning(warning);
  }
  log_info(fmt::format("checkpoint {} in {:.2f} s, of which training waited {:.3f} s", outcome.result,
                       seconds(took_), seconds(copied_ - begin_)));
}

void CheckpointSaver::end(const std::string& problem) {
  under_way_ = false;
  given_up_ = false;
  mine_.reset();
  staging_.reset();  // removes what was not put in place
  prepared_.reset();
  if (problem.empty()) return;
  if (on_failure_ == OnFailure::stop)
    throw IoError(fmt::format("checkpoint of step {} failed: {}", head_.step, problem));
  log_warning(fmt::format("checkpoint of step {} failed, older ones are untouched, training goes on: {}",
                          head_.step, problem));
}

}  // namespace caravan::jobs
