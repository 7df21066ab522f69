#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jobs/identity/run_identity.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/state/train_state.hpp"

namespace caravan::jobs {

/// What a run has before its first step: its own newest checkpoint, that of the run which it branches off,
/// weights from elsewhere, or new ones. [every rank]
class TrainingStart {
 public:
  /// Borrows all.
  TrainingStart(TrainSetup& setup, Communicator& world, Whereabouts& whereabouts,
                const RunIdentity& identity);
  /// Fills the parameters, and the optimizer's state where there is one; how far the run has come.
  /// ConfigError or IoError when what the job starts from is not there, is damaged, or is another run's.
  Progress begin();

 private:
  Progress find_start();
  const Job& job() const { return setup_.job(); }
  Progress begin_anew();
  Progress branch_off();
  /// Whether one of these, newest first, was loaded: the first that verifies. Known on rank 0; false where
  /// there is none. IoError with `complaint` when none verifies.
  bool go_on_from(std::vector<std::string> candidates, const std::string& complaint);
  /// Loads one checkpoint on all ranks; the text of what is damaged, or nothing.
  std::string try_load(const std::string& path);
  void find_schedule(const std::string& stored_job, const std::string& path);
  /// All ranks from one place: of another run in training it is what rank 0 finds to be the newest.
  /// Returns where they were.
  std::string load_weights_of(const std::string& model);
  /// Of a run in training that weights alone are taken of.
  void say_rates(const std::string& path) const;
  /// The first IoError's text of all ranks; empty where all did it.
  std::string problem_anywhere(const std::function<void()>& action);
  void warn_of_unused() const;

  TrainSetup& setup_;
  Communicator& world_;
  Whereabouts& whereabouts_;
  const RunIdentity& identity_;
  Progress progress_;
  std::optional<std::int64_t> schedule_steps_;  ///< of the run that is gone on with, where the job asks
};

}  // namespace caravan::jobs
