#include "jobs/train/training_start.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/hf/model_path.hpp"
#include "jobs/identity/agree.hpp"
#include "jobs/identity/rate_change.hpp"
#include "jobs/identity/same_run.hpp"
#include "jobs/setup/gather.hpp"
#include "jobs/state/fork_candidates.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

TrainingStart::TrainingStart(TrainSetup& setup, Communicator& world, Whereabouts& whereabouts,
                             const RunIdentity& identity)
    : setup_(setup), world_(world), whereabouts_(whereabouts), identity_(identity) {}

Progress TrainingStart::begin() {
  const Progress start = find_start();
  if (job().train.freezes_schedule) setup_.keep_schedule(schedule_steps_.value_or(job().train.steps));
  return start;
}

Progress TrainingStart::find_start() {
  const std::string& output = job().output;
  if (!job().checkpoint.resume) refuse_to_mix(output);
  const bool is_first = world_.rank() == 0;
  if (job().checkpoint.resume &&
      go_on_from(
          is_first ? io::newest_first(output) : std::vector<std::string>{},
          fmt::format("no checkpoint of {} verifies (starting anew would replace them). Restore one, or "
                      "move them away?",
                      output))) {
    warn_of_unused();
    return progress_;
  }
  return job().checkpoint.from.is_given() ? branch_off() : begin_anew();
}

void TrainingStart::warn_of_unused() const {
  const Job::Checkpoint& wanted = job().checkpoint;
  const auto warn = [](const char* key, const std::string& path) {
    if (path.empty()) return;
    log_warning(fmt::format("{}={} is not used (the run goes on from its own checkpoint)", key, path));
  };
  warn("checkpoint.initial_load", wanted.initial_load);
  warn("checkpoint.from", wanted.from.run);
}

Progress TrainingStart::begin_anew() {
  const std::string& initial = job().checkpoint.initial_load;
  if (initial.empty()) {
    whereabouts_.enter("initialising the weights");
    setup_.model().parameters().initialise(job().seed);
    return {};
  }
  check_whole_load(job());
  check_same_tokenizer(initial, job(), identity_);
  load_weights_of(initial);
  return {};
}

Progress TrainingStart::branch_off() {
  const ForkRule& from = job().checkpoint.from;
  std::vector<std::string> found;
  if (world_.rank() == 0) found = fork_candidates(job());
  if (!from.model_alone) {
    const std::string complaint = fmt::format(
        "no checkpoint of {} verifies that checkpoint.from asks for. Another run or step?", from.run);
    CARAVAN_CHECK(go_on_from(found, complaint), IoError, complaint);
    check_fork_goes_on(job(), progress_.step);
    return progress_;
  }
  check_whole_load(job());
  const std::string model = broadcast_text(world_, from.step && !found.empty() ? found.front() : from.run);
  check_same_tokenizer(model, job(), identity_);
  const std::string path = load_weights_of(model);
  log_info(
      "optimizer, learning rate, step and place in the data begin anew, as checkpoint.from.what=model says");
  say_rates(path);
  return {};
}

void TrainingStart::say_rates(const std::string& path) const {
  if (world_.rank() != 0 || io::resolve_model_path(path).kind != io::ModelPath::Kind::checkpoint) return;
  try {
    const auto reader = io::CheckpointReader::open(path, io::Check::structure);
    const std::string rates = rates_begun_anew(reader.job_yaml(), job(), reader.step());
    if (!rates.empty() && reader.step() > 0) log_info(rates);
  } catch (const IoError& error) {  // it was pruned meanwhile
    log_warning(error.message());
  }
}

std::string TrainingStart::load_weights_of(const std::string& model) {
  const std::optional<LowRankRule> lora = read_low_rank(job().model.find("lora"));
  // Adapters that the model has not stay as they are drawn.
  if (lora) setup_.model().parameters().initialise(job().seed);
  for (int looks = 1;; ++looks) {
    const std::string path =
        broadcast_text(world_, world_.rank() == 0 ? io::resolve_model_path(model).path : "");
    const std::string problem = problem_anywhere([&] {
      load_weights_from(path, setup_.state().device, setup_.model().parameters(),
                        setup_.whole_model().parameters(), lora, &whereabouts_);
    });
    if (problem.empty()) {
      log_info("weights from " + path);
      return path;
    }
    const bool is_pruned = is_true_anywhere(world_, !std::filesystem::exists(path));
    CARAVAN_CHECK(is_pruned && looks < io::kMostLooks, IoError, problem);
  }
}

std::string TrainingStart::problem_anywhere(const std::function<void()>& action) {
  std::string problem;
  try {
    action();
  } catch (const IoError& error) {
    problem = error.what();
  }
  return first_text(world_, problem);
}

// Everybody reads what it needs of the newest checkpoint, verifying what it reads; where one rank finds
// damage, all go back to the checkpoint before.
bool TrainingStart::go_on_from(std::vector<std::string> candidates, const std::string& complaint) {
  for (std::size_t next = 0;; ++next) {
    while (next < candidates.size() && is_ignored(candidates[next]))
      candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(next));
    const std::string path = broadcast_text(world_, next < candidates.size() ? candidates[next] : "");
    if (path.empty()) break;
    const std::string problem = try_load(path);
    if (problem.empty()) {
      log_info(fmt::format("resumed at step {} from {}", progress_.step, path));
      return true;
    }
    log_warning(fmt::format("skipped {}: {}", path, problem));
  }
  CARAVAN_CHECK(candidates.empty(), IoError, complaint);
  return false;
}

void TrainingStart::find_schedule(const std::string& stored_job, const std::string& path) {
  if (!job().train.freezes_schedule) return;
  try {
    schedule_steps_ = schedule_steps_of(stored_job);
  } catch (const ConfigError& error) {
    throw IoError(fmt::format(
        "train.schedule_steps=frozen, and {} carries a job that this caravan cannot read ({}). The number of "
        "steps itself?",
        path, error.message()));
  }
}

std::string TrainingStart::try_load(const std::string& path) {
  std::optional<io::CheckpointReader> reader;
  // Data ranks read the same bytes, of which the page cache fetches one copy for a node.
  const auto through = setup_.share().data_ranks > 1 ? io::Through::page_cache : io::Through::disk;
  const std::string problem = problem_anywhere(
      [&] { reader.emplace(io::CheckpointReader::open(path, io::Check::structure, through)); });
  if (!problem.empty()) return problem;
  check_same_run(*reader, setup_.going_on(identity_));  // first: a key says more than a tensor's shape
  // The same on all ranks, and no damage: an older one would not fit either.
  check_fits(*reader, job(), setup_.whole_model().parameters(), setup_.slots());
  find_schedule(reader->job_yaml(), path);
  return problem_anywhere([&] { progress_ = load_state(*reader, job(), setup_.state(), whereabouts_); });
}

}  // namespace caravan::jobs
