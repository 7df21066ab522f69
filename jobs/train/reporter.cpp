#include "jobs/train/reporter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "caravan/log.hpp"
#include "core/run/host_values.hpp"
#include "io/metrics/json_lines_record.hpp"
#include "jobs/plan/data_use.hpp"
#include "jobs/plan/job_checks.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {

Reporter::Reporter(TrainSetup& setup, PipelinePeers& peers, const DataSource& data, int rank)
    : setup_(setup),
      peers_(peers),
      data_(data),
      active_(rank == 0),
      drops_(!setup.job().resolved.at("model").find("capacity_factor").is_null()) {}

void Reporter::open_sinks(std::int64_t first_step) {
  const Job& job = setup_.job();
  const MetricsRun run{.name = job.name,
                       .folder = job.output,
                       .job = job.resolved.to_yaml(),
                       .first_step = first_step,
                       .last_step = job.train.steps};
  sinks_.emplace(setup_, run, first_step_);
  if (job.validation.samples.is_wanted() && !sinks_->take_texts())
    log_warning("the texts of validation.samples are in the log alone: no sink of metrics.sinks takes texts");
}

void Reporter::start(const Progress& progress, const MadeUp& made_up) {
  first_step_ = progress.step + 1;
  if (!active_) return;
  const bool amends = made_up.validation_loss && setup_.job().metrics.has("jsonl");
  const auto former = amends ? io::find_record(json_lines(), progress.step) : std::nullopt;
  open_sinks(former ? progress.step : first_step_);
  line_ = std::make_unique<io::StepLine>(stderr, setup_.job().train.steps, io::StepLine::detect(stderr));
  print_header(progress);
  if (!made_up.validation_loss) return;
  if (former) record_ = *former;
  record_.step = progress.step;
  record_.set(metric::kValidationLoss, *made_up.validation_loss);
  sinks_->write(record_, RecordIs::edge);
  line_->write(record_);
  write_texts(made_up.samples, progress.step);
}

void Reporter::write_texts(const std::vector<SampleText>& texts, std::int64_t step) {
  for (std::size_t at = 0; at < texts.size(); ++at) {
    const std::string name = fmt::format("samples/{}", at);
    const TextRecord record{.step = step,
                            .name = name,
                            .prompt = texts[at].prompt,
                            .text = texts[at].text,
                            .tokens = texts[at].tokens,
                            .reason = texts[at].reason};
    sinks_->write_text(record);
    line_->write_text(record);
  }
}

void Reporter::flush() {
  if (sinks_) sinks_->flush();
}

void Reporter::say_use(std::int64_t step, std::int64_t samples) const {
  const std::vector<std::string> lines = describe_use(data_, samples);
  for (const std::string& line : lines)
    log_info(&line == &lines.front() ? fmt::format("data until step {}: {}", step, line) : line);
}

void Reporter::finish(const Progress& progress) {
  flush();
  if (active_) say_use(progress.step, progress.next_sample);
}

void Reporter::print_header(const Progress& progress) {
  const BatchShare& share = setup_.share();
  log_info(fmt::format("run {}: {} ({}), {}", setup_.job().name,
                       counted(setup_.mesh().layout().ranks(), "rank"), setup_.layout().describe(),
                       setup_.device().description()));
  log_info(describe_parameters(setup_.whole_model().parameters()));
  log_info(fmt::format("a step: {} of {}, {} a rank; steps {} to {}", counted(share.global_batch, "sequence"),
                       counted(setup_.shape().sequence_length(), "token"),
                       counted(share.microbatches(), "micro-batch", "micro-batches"), first_step_,
                       setup_.job().train.steps));
  const std::int64_t steps = setup_.job().train.steps;
  const LrSchedule& rate = setup_.job().train.lr;
  if (steps > rate.total_steps && rate.min_factor == 0)
    log_warning(
        fmt::format("the learning rate is 0 after step {}, where train.schedule_steps ends (train.steps={}, "
                    "train.min_lr_factor=0)",
                    rate.total_steps, steps));
  for (const std::string& idle : idle_keys(setup_.job(), setup_.whole_model().parameters()))
    log_warning(idle);
  say_use(steps, progress.next_sample + (steps - progress.step) * share.global_batch);
}

/// Of a mix also over each part.
void Reporter::add_passes(std::int64_t samples) {
  const std::vector<PartUse> uses = data_.uses(samples);
  double most = 0;
  for (const PartUse& use : uses) most = std::max(most, passes_of(use));
  if (most > 0) record_.set(metric::kDataPasses, most);
  for (std::size_t part = 0; uses.size() > 1 && part < uses.size(); ++part)
    if (uses[part].pass > 0)
      record_.set(fmt::format("{}/{}", metric::kDataPasses, part), passes_of(uses[part]));
}

void Reporter::add_routing(const StepResult& result, const RankMaxima& maxima) {
  if (maxima.expert_imbalance > 0) record_.set(metric::kExpertImbalance, maxima.expert_imbalance);
  if (drops_) {
    record_.set(metric::kDroppedRows, result.dropped);
    record_.set(metric::kDroppedShare, result.dropped / std::max(result.chosen, 1.0));
  }
  if (result.even_rows == 0) return;
  record_.set(metric::kExpertRowsSent, result.rows_sent);
  record_.set(metric::kExpertRowsReceivedMost, result.most_rows_received);
  record_.set(metric::kExpertRankImbalance, result.most_rows_received / result.even_rows);
}

void Reporter::fill(const StepReport& report, const RankMaxima& maxima) {
  record_.clear();
  record_.step = report.progress.step;
  record_.set(metric::kLoss, report.result.loss);
  if (report.validation_loss) record_.set(metric::kValidationLoss, *report.validation_loss);
  if (report.result.balance_loss != 0) record_.set(metric::kBalanceLoss, report.result.balance_loss);
  add_routing(report.result, maxima);
  record_.set(metric::kGradNorm, report.result.grad_norm);
  if (report.result.max_logit) record_.set(metric::kMaxLogit, *report.result.max_logit);
  record_.set(metric::kLearningRate, report.lr);
  record_.set(metric::kStepSeconds, report.seconds);
  record_.set(metric::kDataSeconds, report.data_seconds);
  const auto tokens = static_cast<double>(setup_.share().global_batch * setup_.shape().sequence_length());
  record_.set(metric::kTokensPerSecond, tokens / report.seconds);
  record_.set(metric::kTflopPerSecond, setup_.step_flops() / report.seconds * 1e-12);
  record_.set(metric::kPeakMemoryBytes, maxima.peak_memory);
  record_.set(metric::kTokensSeen, report.progress.tokens_seen);
  add_passes(report.progress.next_sample);
  record_.set(metric::kValidTokens, report.result.valid_tokens);
  record_.set(metric::kHostPeakMemoryBytes, maxima.host_peak_memory);
  record_.set(metric::kElapsedSeconds, report.elapsed_seconds);
}

void Reporter::add(const Buffer& buffer, int rank, const TensorView& mine) {
  const std::vector<float> values = peers_.fetch(rank, mine, buffer.shape.count());
  for (std::size_t index = 0; index < values.size(); ++index)
    record_.set(fmt::format("{}/{}", buffer.name, index), static_cast<double>(values[index]));
}

void Reporter::add_experts(const TrainStep& step) {
  for (int rank = 0; rank < peers_.ranks(); ++rank) {
    if (!peers_.is_first() && rank != setup_.pipeline_ranks().host.rank()) continue;
    std::size_t layer = 0;
    for (const auto& buffer : peers_.store(rank).buffers()) {
      TensorView mine;
      if (buffer->role == Buffer::Role::constant) continue;
      if (buffer->role == Buffer::Role::counter && !buffer->data.empty()) {
        const std::vector<float>& counts = step.expert_counts()[layer++];  // the buffer itself is zero again
        mine = TensorView(const_cast<float*>(counts.data()), DType::f32, buffer->shape);
      } else if (!buffer->data.empty()) {
        mine = on_host(setup_.device(), buffer->data, room_);
      }
      add(*buffer, rank, mine);
    }
  }
}

void Reporter::write(const StepReport& report, const TrainStep& step) {
  fill(report, maxima_over_ranks(setup_, step));
  if (setup_.job().metrics.expert_counts && setup_.mesh().coordinate(MeshAxis::rows) == 0) add_experts(step);
  if (!active_) return;
  const std::int64_t number = report.progress.step;
  const bool edge =
      number == first_step_ || number == setup_.job().train.steps || report.validation_loss.has_value();
  sinks_->write(record_, edge ? RecordIs::edge : RecordIs::usual);
  if (edge || number % setup_.job().train.log_every == 0)
    line_->write(record_);
  else
    line_->pass(record_);
  write_texts(report.samples, number);
}

}  // namespace caravan::jobs
