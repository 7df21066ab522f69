#include "jobs/inspect/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "caravan/check.hpp"
#include "jobs/inspect/layout_names.hpp"
#include "jobs/job/job.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

/// A name from a file must not become a path that is opened as a plugin.
void check_plain_name(const std::string& plugin) {
  const bool is_plain = !plugin.empty() && std::all_of(plugin.begin(), plugin.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-';
  });
  CARAVAN_CHECK(is_plain, ConfigError, "its job names no plain model plugin");
}

/// The job's model with the preset's keys and the plugin's defaults filled in.
Config model_of(const std::string& job_yaml) {
  const Config job = Config::parse(job_yaml, "the job of the checkpoint");
  const Config& section = job.find("model");
  CARAVAN_CHECK(!section.is_null(), ConfigError, "its job names no model");
  const Config& given = section.find("plugin");
  const std::string plugin = given.is_null() ? "llama4" : given.as_string();
  check_plain_name(plugin);
  const auto registry = make_registry();
  const caravan_component& component = *registry->find("model", plugin).component;
  return validate(resolve_model(section), ParamSchema(component.params, component.num_params),
                  "model " + plugin);
}

void find_top_k(const io::CheckpointReader& reader, Parameters& parameters) {
  try {
    const Config model = model_of(reader.job_yaml());
    CARAVAN_CHECK(model.has("top_k"), ConfigError, "its model has no top_k");
    parameters.top_k = model.get_int("top_k");
  } catch (const Error& error) {
    parameters.no_top_k = error.message();
  }
}

void add(Parameters& parameters, std::string_view name, const Shape& shape) {
  const std::int64_t count = shape.count();
  parameters.counts.add(name, count);
  const auto kind = io::kind_of_name(name);
  if (!kind) return;
  const bool is_routed = *kind == ParameterKind::expert;
  if (is_routed || *kind == ParameterKind::router || *kind == ParameterKind::shared_expert)
    parameters.sparse += count;
  if (!is_routed || shape.rank() == 0 || shape[0] == 0) return;
  parameters.routed += count;
  parameters.routed_of_one += count / shape[0];
}

}  // namespace

std::optional<std::int64_t> Parameters::active() const {
  if (routed == 0) return counts.total();
  if (!top_k) return std::nullopt;
  return counts.total() - routed + std::min(routed, routed_of_one * *top_k);
}

Parameters count_parameters(const io::CheckpointReader& reader) {
  Parameters parameters;
  for (const io::TensorRecord& tensor : reader.tensors()) {
    if (tensor.name.starts_with(kModelRoot))
      add(parameters, std::string_view(tensor.name).substr(kModelRoot.size()), tensor.shape);
  }
  if (parameters.routed > 0) find_top_k(reader, parameters);
  return parameters;
}

std::string parameters_text(const Parameters& parameters) {
  const auto line = [](const std::string& what, std::int64_t count) {
    return fmt::format("  {:<16} {:>18}\n", what, with_commas(count));
  };
  const std::int64_t total = parameters.counts.total();
  std::string text = fmt::format("parameters  {}\n", with_commas(total));
  for (const auto& [kind, count] : parameters.counts.by_kind()) text += line(kind, count);
  if (parameters.routed == 0) return text;
  text += line("dense in all", total - parameters.sparse) + line("sparse in all", parameters.sparse);
  if (const auto active = parameters.active())
    return text + line(fmt::format("active (top {})", *parameters.top_k), *active);
  return text + fmt::format("  active           unknown: {}\n", parameters.no_top_k);
}

nlohmann::ordered_json parameters_json(const Parameters& parameters) {
  const std::int64_t total = parameters.counts.total();
  nlohmann::ordered_json object = {{"total", total}};
  const auto active = parameters.active();
  object["active"] = active ? nlohmann::ordered_json(*active) : nlohmann::ordered_json(nullptr);
  object["dense_in_all"] = total - parameters.sparse;
  object["sparse_in_all"] = parameters.sparse;
  for (const auto& [kind, count] : parameters.counts.by_kind()) object[kind] = count;
  return object;
}

}  // namespace caravan::jobs
