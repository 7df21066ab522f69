#include "jobs/plugins/params_json.hpp"

namespace caravan::jobs {
namespace {

nlohmann::ordered_json text_or_null(const char* text) {
  return text ? nlohmann::ordered_json(text) : nlohmann::ordered_json(nullptr);
}

}  // namespace

nlohmann::ordered_json params_json(ParamSchema schema) {
  auto params = nlohmann::ordered_json::array();
  for (const caravan_param& param : schema) {
    params.push_back({{"name", param.name},
                      {"type", param.type},
                      {"default", text_or_null(param.default_value)},
                      {"required", param.default_value == nullptr},
                      {"unit", text_or_null(param.unit)},
                      {"range", text_or_null(param.range)},
                      {"doc", param.doc}});
  }
  return params;
}

}  // namespace caravan::jobs
