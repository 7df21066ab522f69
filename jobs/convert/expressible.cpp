#include "jobs/convert/expressible.hpp"

#include <string_view>
#include <vector>

#include "caravan/log.hpp"
#include "io/hf/config_writer.hpp"
#include "io/meta/meta_params.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

void check_expressible(const ExportRule& rule, const Config& model, const ParameterStore& whole_model) {
  const bool has_biases =
      whole_model.count(ParameterKind::expert) > 0 && model.get_float("load_balance_rate") > 0;
  if (has_biases && rule.format != ExportRule::Format::safetensors)
    log_warning(
        "checkpoint.export: this format has no place for expert biases, which model.load_balance_rate moves: "
        "left out, so that tokens may choose other experts (format: safetensors keeps them)");
  const std::vector<io::NamedShape> weights = shapes_of(whole_model);
  const std::int64_t dense = width_of(weights, ".feed_forward.w1.weight", 0),
                     expert = width_of(weights, ".moe.experts.w1", 1);
  if (rule.format == ExportRule::Format::hf)
    io::hf_config_text(model, {.dtype = rule.dtype,
                               .dense_width = dense,
                               .expert_width = expert,
                               .positions = model.get_int("positions"),
                               .bos = {},
                               .pad = {},
                               .eos = {}});
  std::vector<std::string> notes;
  if (rule.format == ExportRule::Format::meta) io::meta_params_text(model, {dense, expert}, notes);
}

}  // namespace caravan::jobs
