#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/sharded.hpp"
#include "jobs/train/checkpoint_share.hpp"
#include "jobs/train/pinned_memory.hpp"
#include "jobs/train/train_state.hpp"

namespace caravan::jobs {

/// Saves checkpoints beside training. Every rank copies its share at a step's end and writes it on a thread
/// of its own, into one file once rank 0 has made it where the job wants that; when all shares are on the
/// disk, rank 0 puts the checkpoint in place. Threads never call MPI: the ranks agree in `poll`, which the
/// training loop calls after every step. One checkpoint at a time: the next waits for the one before, so that
/// memory is bounded.
class CheckpointSaver {
 public:
  enum class OnFailure { go_on, stop };
  /// What goes where.
  struct Target {
    std::string folder;  ///< of all steps
    CheckpointContent content = CheckpointContent::everything;
    DType weights = DType::f32;
    enum class Writing { beside_training, at_once } writing = Writing::beside_training;
    enum class Files { shards, one } files = Files::shards;
    io::Keep keep;      ///< latest 0: all
    std::string run{};  ///< whose tokenizer goes into each checkpoint; empty: none
    std::vector<std::pair<std::string, io::CheckpointValue>> values{};  ///< of the run, for each checkpoint
  };
  /// The checkpoints that the run goes on from, as the job wants them.
  static Target checkpoints_of(const Job& job);
  /// The weights alone, for others.
  static Target export_of(const Job& job);

  /// Borrows all. `lock`: of the run, on rank 0; null elsewhere.
  CheckpointSaver(TrainSetup& setup, Communicator& world, const io::RunLock* lock, Target target);

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
  enum class Phase { idle, preparing, writing, publishing };
  using Clock = std::chrono::steady_clock;
  /// What a thread has to say: its share's record or the final path, or why there is none.
  struct Outcome {
    std::string result, problem;
    std::vector<std::string> warnings;
  };

  void check_owner();
  bool open_folder();
  void start_task(const std::function<Outcome()>& body);
  void start_preparing();
  void start_writing();
  Outcome write();
  void start_publishing(const std::vector<std::string>& records);
  Outcome add_tokenizer_of_run() const;
  Outcome publish(const std::vector<std::string>& records);
  void end(const std::string& problem);

  TrainSetup& setup_;
  Communicator& world_;
  const io::RunLock* lock_;
  Target target_;
  CheckpointShare share_;
  std::unique_ptr<io::Snapshot> snapshot_;  // empty when the job waits for the disk
  std::optional<PinnedMemory> pinned_;      // the snapshot's
  std::uint64_t all_space_;                 // of the disk, for all ranks
  std::vector<io::TensorRecord> tensors_;   // of all ranks, on rank 0 when they write one file
  Phase phase_ = Phase::idle;
  OnFailure on_failure_ = OnFailure::go_on;
  io::CheckpointHead head_;
  std::string folder_;                        // unfinished, the same on all ranks
  std::optional<io::StagingFolder> staging_;  // its owner, on rank 0
  std::optional<io::FileRecord> prepared_;    // when all ranks write one file
  Clock::time_point begin_, copied_;
  std::future<Outcome> task_;  // last: its thread uses the others
};

}  // namespace caravan::jobs
