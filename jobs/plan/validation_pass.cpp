#include "jobs/plan/validation_pass.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "jobs/plan/data_use.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

Config validation_data(const Config& given) {
  Config data = given.is_null() ? Config::map() : given;
  if (!data.has("source") && !data.has("split")) data.set("split", "validation");
  return data;
}

/// Of a mix.
void say_parts(const DataSource& source, std::int64_t samples) {
  const std::vector<std::string> lines = describe_use(source, samples);
  for (const std::string& line : lines)
    if (lines.size() > 1) log_info(&line == &lines.front() ? "validation: " + line : line);
}

}  // namespace

Made<DataSource> open_validation_data(TrainSetup& setup) {
  return setup.open_data(validation_data(setup.job().validation.data));
}

std::int64_t validation_batches(const Job& job, const DataSource& source) {
  const std::int64_t wanted = job.validation.batches, sequences = job.train.local_batch_size;
  const std::int64_t samples = source.samples();
  CARAVAN_CHECK(
      samples > 0 || wanted > 0, ConfigError,
      "validation.every without validation.batches measures one pass, which data without end does not "
      "have. Set validation.batches?");
  if (samples == 0) return wanted;
  const std::int64_t pass = samples / sequences;
  CARAVAN_CHECK(
      pass > 0, ConfigError,
      fmt::format("the validation data has {} samples (a micro-batch of train.local_batch_size={} needs as "
                  "many). More data, a larger data.validation_fraction, or smaller micro-batches?",
                  samples, sequences));
  if (wanted < 0)
    log_info(fmt::format("validation: one pass, {} of {} of {} ({} of {})",
                         counted(pass, "micro-batch", "micro-batches"), counted(sequences, "sequence"),
                         counted(source.sequence_length(), "token"), pass * sequences,
                         counted(samples, "sample")));
  if (wanted > pass)
    log_warning(
        fmt::format("validation.batches={} is cut to {} (one pass: {} samples in micro-batches of {})",
                    wanted, pass, samples, sequences));
  const std::int64_t measured = wanted < 0 ? pass : std::min(wanted, pass);
  say_parts(source, measured * sequences);
  return measured;
}

}  // namespace caravan::jobs
