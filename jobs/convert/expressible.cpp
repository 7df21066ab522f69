#include "jobs/convert/expressible.hpp"

#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "io/hf/config_writer.hpp"
#include "io/meta/meta_params.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {
namespace {

/// As the conversion will; nothing is kept.
void write_config(const ExportRule& rule, const Config& model, const std::vector<io::NamedShape>& weights) {
  const std::int64_t dense = width_of(weights, ".feed_forward.w1.weight", 0),
                     expert = width_of(weights, ".moe.experts.w1", 1);
  if (rule.format == ModelFormat::hf)
    io::hf_config_text(model, {.dtype = rule.dtype,
                               .dense_width = dense,
                               .expert_width = expert,
                               .positions = model.get_int("positions"),
                               .bos = {},
                               .pad = {},
                               .eos = {}});
  std::vector<std::string> notes;
  if (rule.format == ModelFormat::meta) io::meta_params_text(model, {dense, expert}, notes);
}

}  // namespace

void check_expressible(const ExportRule& rule, const Config& model, const ParameterStore& whole_model) {
  const bool has_biases =
      whole_model.count(ParameterKind::expert) > 0 && model.get_float("load_balance_rate") > 0;
  const bool keeps_them = rule.format == ModelFormat::safetensors || rule.format == ModelFormat::hdf5;
  if (has_biases && !keeps_them)
    log_warning(
        "checkpoint.export: this format has no place for expert biases, which model.load_balance_rate moves: "
        "left out, so that tokens may choose other experts (format: safetensors and checkpoint.export=fp32, "
        "which is hdf5, keep them)");
  try {
    write_config(rule, model, shapes_of(whole_model));
  } catch (const IoError& error) {
    throw ConfigError(std::string("checkpoint.export: ") + error.what());
  }
}

}  // namespace caravan::jobs
