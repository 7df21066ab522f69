#include "jobs/train/trainer.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/catalogue.hpp"
#include "jobs/identity/agree.hpp"
#include "jobs/identity/run_folder.hpp"
#include "jobs/plan/data_use.hpp"
#include "jobs/setup/gather.hpp"
#include "jobs/train/export.hpp"
#include "jobs/train/training_start.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool due(std::int64_t every, std::int64_t step, std::int64_t last) {
  return step == last || (every > 0 && step % every == 0);
}

}  // namespace

Trainer::Trainer(TrainSetup& setup, Communicator& world, const StopRequest& stop, Whereabouts& whereabouts)
    : source_(setup.open_data({})),
      identity_(identify(setup.device(), setup.compute(), *source_, world)),
      setup_(setup),
      world_(world),
      stop_(stop),
      whereabouts_(whereabouts),
      steps_(setup, *source_, &whereabouts),
      lock_(world.rank() == 0 ? std::make_unique<io::RunLock>(setup.job().output, io::RunOwner::here())
                              : nullptr),
      saver_(setup.state(), world, lock_.get(), with_identity(checkpoints_of(setup.job(), setup.layout()))),
      peers_(setup),
      reporter_(setup, peers_, *source_, world.rank()),
      timeline_(setup) {
  if (setup.job().validation.is_wanted()) {
    validator_.emplace(setup, whereabouts);
    const DataIdentity validation = agree_on_data(world, validator_->source(), "validation data");
    check_validation_tokenizer(setup.job(), identity_.data, validation);
  }
  if (setup.job().validation.samples.is_wanted()) sampler_.emplace(setup, identity_.data, whereabouts);
  progress_ = TrainingStart(setup, world, whereabouts, identity_).begin();
  saver_.set_job(setup.job().resolved.to_yaml());  // a frozen schedule has its number now
  check_enough_samples(setup.job(), setup.share(), *source_);
  if (lock_) write_run_folder(setup.job(), identity_.data);
}

CheckpointTarget Trainer::with_identity(CheckpointTarget target) const {
  target.run = setup_.job().output;
  target.head.values = identity_.values();
  return target;
}

ExitCode Trainer::run() {
  if (is_done()) return finish_former();
  if (setup_.job().checkpoint.create_seed) return save_seed();
  if (exports()) check_export_is_free(setup_.job(), world_);
  const MadeUp made_up = owes_validation() ? make_up_validation() : MadeUp{};
  if (stopped_by_ != 0) return leave();
  reporter_.start(progress_, made_up);
  try {
    if (made_up.validation_loss && is_last_step()) save_when_due();  // it owes nothing now
    train();
  } catch (const NumericalError&) {
    saver_.finish();  // all ranks are here, and what was copied before is sound
    throw;
  }
  reporter_.finish(progress_);
  if (stopped_by_ != 0 && (!is_done() || exports())) return leave();
  if (exports()) export_weights();
  return ExitCode::success;
}

/// A run that was asked to leave after its last step has no export yet.
ExitCode Trainer::finish_former() {
  const std::int64_t last = setup_.job().train.steps;
  if (exports() && progress_.step == last &&
      export_state(setup_.job(), last, world_) != ExportState::complete) {
    check_export_is_free(setup_.job(), world_);
    log_info(fmt::format("step {} of {} is done: only the export is left", progress_.step, last));
    export_weights();
    return ExitCode::success;
  }
  log_info(fmt::format("nothing to do: step {} of {} is done", progress_.step, last));
  return ExitCode::success;
}

ExitCode Trainer::save_seed() {
  check_seed(setup_.job(), progress_.step);
  saver_.begin(progress_, CheckpointSaver::OnFailure::stop);
  saver_.finish();
  return ExitCode::success;
}

void Trainer::export_weights() {
  whereabouts_.enter("exporting the weights");
  const auto report = [&] { whereabouts_.enter("exporting the weights"); };
  if (setup_.job().checkpoint.exported.is_converted())
    return convert_export(setup_.job(), progress_.step, world_, report);
  CheckpointTarget target = with_identity(export_of(setup_.job(), setup_.layout()));
  target.report = report;
  CheckpointSaver writer(setup_.state(), world_, lock_.get(), std::move(target));
  writer.begin(progress_, CheckpointSaver::OnFailure::stop);
}

bool Trainer::is_asked_to_stop() {
  whereabouts_.enter("all-reduce of the wish to stop");
  if (stopped_by_ == 0) stopped_by_ = stop_.agreed(world_);
  return stopped_by_ != 0;
}

void Trainer::train() {
  begin_ = last_finish_ = Clock::now();
  while (!is_last_step() && stopped_by_ == 0) {
    post_step();
    is_asked_to_stop();
    while (steps_.step().posted() > lead()) finish_step();
    saver_.poll();
    if (steps_.step().posted() > 0) continue;
    save_when_due();
    last_finish_ = Clock::now();
  }
  whereabouts_.enter("waiting for the checkpoint to reach the disk");
  saver_.finish();
}

ExitCode Trainer::leave() const {
  // A branch that left before its first step has nothing of its own: it begins again where it branched off.
  const bool has_own = progress_.step == 0 || !setup_.job().checkpoint.from.is_given() ||
                       !io::list_steps(setup_.job().output).empty();
  const bool saved = setup_.job().checkpoint.enabled;
  log_warning(fmt::format("signal {} asked to stop: leaving after step {} of {}, {}", stopped_by_,
                          progress_.step, setup_.job().train.steps,
                          !saved    ? "not saved (checkpoint.enabled is false)"
                          : has_own ? "saved; start again to go on"
                                    : "before its first step; start again to branch off again"));
  return saved ? ExitCode::requeue : ExitCode::no_progress;
}

void Trainer::post_step() {
  whereabouts_.start_step(progress_.step + 1);
  whereabouts_.enter("reading data");
  const auto start = Clock::now();
  const auto batches = steps_.read(progress_.next_sample);
  const double waited = seconds_since(start);
  const std::int64_t number = progress_.step + 1;
  timeline_.before(number, steps_.step().executor());
  steps_.post(batches, number);
  progress_.step = number;
  progress_.next_sample += setup_.share().global_batch;
  progress_.tokens_seen += setup_.share().global_batch * setup_.shape().sequence_length();
  timeline_.after(number, steps_.step().executor());
  posted_.push_back({.progress = progress_, .lr = setup_.job().train.lr.at(number), .data_seconds = waited});
}

std::size_t Trainer::lead() const {
  const Job& job = setup_.job();
  const bool looks =
      due(job.validation.every, progress_.step, job.train.steps) ||
      due(job.checkpoint.every, progress_.step, job.train.steps) ||
      (sampler_ && due(job.validation.samples.every.value_or(0), progress_.step, job.train.steps)) ||
      job.metrics.expert_counts || stopped_by_ != 0;
  return looks ? 0 : steps_.lead();
}

void Trainer::finish_step() {
  StepReport report = posted_.front();
  posted_.pop_front();
  report.result = steps_.step().result();
  report.seconds = seconds_since(last_finish_);
  last_finish_ = Clock::now();
  report.elapsed_seconds = std::chrono::duration<double>(last_finish_ - begin_).count();
  const Job& job = setup_.job();
  if (validator_ && steps_.step().posted() == 0 && due(job.validation.every, progress_.step, job.train.steps))
    report.validation_loss = validate();
  if (steps_.step().posted() == 0 && samples_due(report.validation_loss.has_value()))
    report.samples = write_samples();
  whereabouts_.enter("all-reduce of what is reported");
  reporter_.write(report, steps_.step());
}

std::optional<double> Trainer::validate() {
  std::optional<Validator::Result> result;
  if (stopped_by_ == 0) result = validator_->run([this] { return is_asked_to_stop(); });
  progress_.owes_validation = !result;
  if (result) return result->loss;
  log_warning(fmt::format("signal {} asked to stop: the validation of step {} was left, without a loss{}",
                          stopped_by_, progress_.step,
                          setup_.job().checkpoint.enabled ? "; the next start makes it up" : ""));
  return std::nullopt;
}

bool Trainer::samples_due(bool validated) const {
  if (!sampler_) return false;
  const auto& every = setup_.job().validation.samples.every;
  return every ? due(*every, progress_.step, setup_.job().train.steps) : validated;
}

std::vector<SampleText> Trainer::write_samples() {
  std::optional<std::vector<SampleText>> texts;
  if (stopped_by_ == 0) texts = sampler_->write([this] { return is_asked_to_stop(); });
  if (texts) return std::move(*texts);
  log_warning(
      fmt::format("signal {} asked to stop: the texts of step {} were left", stopped_by_, progress_.step));
  return {};
}

MadeUp Trainer::make_up_validation() {
  log_info(
      fmt::format("validating step {} first, as a signal kept the start before from it", progress_.step));
  whereabouts_.start_step(progress_.step);
  MadeUp made_up{.validation_loss = validate()};
  if (made_up.validation_loss && samples_due(true)) made_up.samples = write_samples();
  return made_up;
}

void Trainer::save_when_due() {
  const Job::Checkpoint& wanted = setup_.job().checkpoint;
  const bool now = stopped_by_ != 0 || due(wanted.every, progress_.step, setup_.job().train.steps);
  if (!wanted.enabled || !now) return;
  reporter_.flush();
  whereabouts_.enter("saving a checkpoint");
  using OnFailure = CheckpointSaver::OnFailure;
  const bool must = wanted.stop_on_failure || stopped_by_ != 0 || is_last_step();  // nothing comes after it
  saver_.begin(progress_, must ? OnFailure::stop : OnFailure::go_on);
}

}  // namespace caravan::jobs
