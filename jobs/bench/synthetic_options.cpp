#include "jobs/bench/synthetic_options.hpp"

#include "jobs/command_numbers.hpp"

namespace caravan::jobs {

Config ModelOptions::section() const {
  Config model = Config::map();
  model.set("preset", preset);
  for (const std::string& assignment : overrides) model.override_with(assignment);
  return model;
}

CLI::Option* declare_model(CLI::App& app, ModelOptions& options, const std::string& example) {
  app.add_option("--preset", options.preset, "Model to train on random tokens")->capture_default_str();
  return app.add_option("overrides", options.overrides, "Keys of the model to set, e.g. " + example)
      ->type_name("key=value");
}

void declare_batches(CLI::App& app, SyntheticJob& job, const std::string& of) {
  add_integer(app, "--sequence", job.sequence_length, "[0, 16777216]",
              "Tokens of a sequence; 0: the preset's");
  add_integer(app, "--batch", job.local_batch, "[1, 1048576]", "Sequences of a micro-batch");
  add_integer(app, "--microbatches", job.microbatches, "[1, 1048575]", "Micro-batches of " + of);
}

}  // namespace caravan::jobs
