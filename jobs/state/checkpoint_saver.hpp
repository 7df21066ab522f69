#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/checkpoint/sharded.hpp"
#include "jobs/state/checkpoint_share.hpp"
#include "jobs/state/checkpoint_target.hpp"
#include "jobs/state/pinned_memory.hpp"
#include "jobs/state/train_state.hpp"

namespace caravan::jobs {

/// Saves checkpoints beside training. Every rank copies its share at a step's end and writes it on a thread
/// of its own, into one file once rank 0 has made it where the job wants that; when all shares are on the
/// disk, rank 0's thread puts the checkpoint in place, whatever the ranks do meanwhile. Threads never call
/// MPI: they leave each other notes in the unfinished folder. The ranks agree in `poll`, which the training
/// loop calls after every step, that it is over. One checkpoint at a time: the next waits for the one before,
/// so that memory is bounded.
class CheckpointSaver {
 public:
  enum class OnFailure { go_on, stop };

  /// Borrows world and lock, and what the state borrows. `lock`: of the run, on rank 0; null elsewhere.
  CheckpointSaver(RankState state, Communicator& world, const io::RunLock* lock, CheckpointTarget target);
  /// Waits for this rank's thread, which no longer waits for others.
  ~CheckpointSaver();
  CheckpointSaver(const CheckpointSaver&) = delete;
  CheckpointSaver& operator=(const CheckpointSaver&) = delete;

  /// Of each checkpoint that begins from now on.
  void set_job(std::string yaml) { target_.head.job_yaml = std::move(yaml); }
  /// [every rank] Returns when the state has been copied, or, writing at once, when it is on the disk. What
  /// goes wrong until the checkpoint is in place is a warning, or, on all ranks, an IoError of whichever call
  /// finds it.
  void begin(const Progress& progress, OnFailure on_failure);
  /// [every rank] Lets the checkpoint that is under way advance. Costs nothing when there is none, otherwise
  /// one small reduction.
  void poll();
  /// [every rank] Waits until none is under way.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  /// What a thread or a rank has to say: a path, or why there is none.
  struct Outcome {
    std::string result, problem;
    std::vector<std::string> warnings;
  };

  bool is_one_file() const { return target_.files == CheckpointTarget::Files::one; }
  bool open_folder();
  /// [every rank] All in turn, and the ranks agree between.
  void save_now();
  bool prepare_now();
  /// [the rank's thread] The same by notes.
  Outcome save_beside();
  /// Nothing when another rank failed meanwhile.
  std::optional<std::string> await(const std::string& note) const;
  std::optional<io::FileRecord> prepare_beside();
  Outcome publish_beside(std::optional<io::FileRecord> own);
  /// The record of this rank's share; nothing when that is empty.
  std::optional<io::FileRecord> write();
  Outcome add_tokenizer_of_run() const;
  Outcome publish(std::vector<io::FileRecord> shares);
  std::optional<Outcome> together(const std::function<Outcome()>& body);
  void report(const Outcome& outcome);
  void end(const std::string& problem);

  Communicator& world_;
  const io::RunLock* lock_;
  CheckpointTarget target_;
  CheckpointShare share_;
  std::unique_ptr<io::Snapshot> snapshot_;  // empty when the job waits for the disk
  std::optional<PinnedMemory> pinned_;      // the snapshot's
  std::uint64_t all_space_;                 // of the disk, for all ranks
  std::vector<io::TensorRecord> tensors_;   // of all ranks, on rank 0 when they write one file
  bool under_way_ = false;
  OnFailure on_failure_ = OnFailure::go_on;
  io::CheckpointHead head_;
  std::string folder_;                        // unfinished, the same on all ranks
  std::optional<io::StagingFolder> staging_;  // its owner, on rank 0
  std::optional<io::FileRecord> prepared_;    // when all ranks write one file
  std::set<std::string> said_;                // warnings, once each
  Clock::time_point begin_, copied_;
  std::atomic<Clock::duration> took_{};  // until it was in place, on rank 0
  std::atomic<bool> given_up_ = false;   // a rank failed: no thread waits for another's note any more
  std::optional<Outcome> mine_;          // when this rank's thread is over
  std::future<Outcome> task_;            // last: its thread uses the others
};

}  // namespace caravan::jobs
