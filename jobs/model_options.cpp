#include "jobs/model_options.hpp"

#include <CLI/CLI.hpp>

namespace caravan::jobs {

void declare_inputs(CLI::App& app, std::string& inputs) {
  app.add_option(
         "--inputs", inputs,
         "safetensors with input_ids [B, T], perhaps labels [B, T] (as transformers takes them: labels[t] "
         "belongs to token t, which token t - 1 predicts), attention_mask [B, T], position_ids [B, T] or "
         "[1, T]")
      ->required();
}

CLI::Option* declare_device(CLI::App& app, const std::string& name, std::string& device,
                            const std::string& help) {
  return app.add_option(name, device, help)->capture_default_str();
}

CLI::Option* declare_precision(CLI::App& app, const std::string& name, std::string& precision,
                               const std::string& help) {
  return app.add_option(name, precision, help)
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->capture_default_str();
}

}  // namespace caravan::jobs
