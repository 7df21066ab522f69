#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "caravan/check.hpp"
#include "io/hf/only_value.hpp"
#include "io/hf/released_experts.hpp"
#include "io/meta/meta_keys.hpp"
#include "io/meta/meta_params.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

class ParamsWriter {
 public:
  ParamsWriter(const Config& model, const MetaWidths& widths, std::vector<std::string>& notes)
      : model_(model), widths_(widths), notes_(notes), layers_(model.get_int("layers")) {}

  json params() {
    const auto nope = interval_of("nope_layers", unrotated());
    const auto moe = has_experts() ? interval_of("moe_layers", with_experts()) : 1;
    check_expressible();
    json params{{"dim", model_.get_int("dim")},
                {"n_layers", layers_},
                {"n_heads", model_.get_int("heads")},
                {"vocab_size", model_.get_int("vocab_size")},
                {"norm_eps", model_.get_float("norm_eps")},
                {"rope_theta", model_.get_float("rope_theta")},
                {"use_qk_norm", model_.get_bool("qk_norm")},
                {"attention_chunk_size", model_.get_int("chunk_size")}};
    for (const auto& [key, ours] : {std::pair("n_kv_heads", "kv_heads"), {"head_dim", "head_dim"}})
      if (!model_.find(ours).is_null()) params[key] = model_.get_int(ours);
    add_widths(params);
    add_rope(params, nope);
    add_temperature(params);
    if (has_experts())
      params["moe_args"] = {{"num_experts", model_.get_int("experts")},
                            {"top_k", model_.get_int("top_k")},
                            {"interleave_moe_layer_step", moe},
                            {"auto_scale_F", true},
                            {"capacity_factor", 1.0}};
    return params;
  }

 private:
  using Layers = std::vector<std::int64_t>;

  bool has_experts() const { return model_.get_int("experts") > 0; }

  Layers every(std::int64_t interval, std::int64_t offset) const {
    Layers layers;
    for (std::int64_t layer = 0; layer < layers_ && interval > 0; ++layer)
      if (layer % interval == offset) layers.push_back(layer);
    return layers;
  }
  Layers listed_or(const char* key, Layers otherwise) const {
    if (model_.find(key).is_null()) return otherwise;
    Layers listed = model_.at(key).as_int_list();
    std::sort(listed.begin(), listed.end());
    listed.erase(std::unique(listed.begin(), listed.end()), listed.end());
    return listed;
  }
  Layers unrotated() const {
    return listed_or("nope_layers", every(model_.get_int("nope_interval"), model_.get_int("nope_offset")));
  }
  Layers with_experts() const {
    const std::int64_t step = model_.get_int("moe_step");
    return listed_or("moe_layers", every(step, step - 1));
  }

  /// The interval whose every last layer these are; 0 where there is none.
  std::int64_t interval_of(const char* key, const Layers& layers) {
    if (layers.empty()) return 0;
    const std::int64_t interval = layers.front() + 1;
    if (every(interval, interval - 1) != layers)
      problems_.push_back(fmt::format("{} {} (no every so many)", key, fmt::join(layers, ", ")));
    return interval;
  }

  void need(const char* key, std::string_view value) { need_value(model_, key, value, problems_); }
  void need_none(const char* key) {
    if (!model_.find(key).is_null()) problems_.push_back(fmt::format("{} (no key for it)", key));
  }

  void check_expressible() {
    for (const auto& [key, value] :
         {std::pair("position", "rope"), {"head_bias", "false"}, {"tied_head", "false"}, {"dense", "swiglu"}})
      need(key, value);
    for (const char* key : {"repeat_layers", "chunk_layers"}) need_none(key);
    const std::int64_t of_head = model_.get_int("dim") / model_.get_int("heads");
    need("head_dim", std::to_string(of_head));  // there is a key, which Meta's attention does not read
    if (has_experts()) check_experts();
    CARAVAN_CHECK(problems_.empty(), IoError,
                  fmt::format("Meta's format cannot express model.{}. Another format, hdf5 or safetensors?",
                              fmt::join(problems_, ", model.")));
  }
  void check_experts() {
    for (const auto& [key, value] : kReleasedExperts) need(key, value);
    if (model_.get_float("score_scale") != 1) problems_.emplace_back("score_scale (only 1)");
    need_none("capacity_factor");
    if (with_experts().empty())
      problems_.emplace_back("moe_layers (there are experts and no layer has them)");
  }

  void add_widths(json& params) {
    const auto rule = rule_of_widths(widths_, model_.get_int("dim"));
    if (!rule) {
      notes_.push_back(
          fmt::format("no keys of Meta's give a width of {} for dense layers and {} for experts: params.json "
                      "says none, and only a reader that looks at the weights knows them",
                      widths_.dense, widths_.expert));
      return;
    }
    params["multiple_of"] = rule->multiple_of;
    params["ffn_dim_multiplier"] = rule->ffn_dim_multiplier;
    params["ffn_exp"] = rule->ffn_exp;
  }

  void add_rope(json& params, std::int64_t nope_interval) {
    if (nope_interval > 0) params["nope_layer_interval"] = nope_interval;  // Meta's code divides by it
    const Config& scaling = model_.find("rope_scaling");
    params["use_scaled_rope"] = !scaling.is_null();
    if (scaling.is_null()) return;
    params["rope_scaling_factor"] = scaling.get_float("factor");
    params["rope_high_freq_factor"] = scaling.get_float("high");
    CARAVAN_CHECK(scaling.get_float("low") == 1, IoError,
                  fmt::format("Meta's format cannot express model.rope_scaling.low={} (only 1)",
                              scaling.get_float("low")));
    const double original = scaling.get_float("original");
    if (original == meta::kOriginalPositions) return;
    params[meta::kOriginal] = original;
    notes_.push_back(fmt::format(
        "model.rope_scaling.original is {} ({} in Meta's code, whatever params.json says): it stands "
        "under a key of our own, {}",
        original, meta::kOriginalPositions, meta::kOriginal));
  }

  void add_temperature(json& params) const {
    const Config& temperature = model_.find("temperature");
    params["attn_temperature_tuning"] = !temperature.is_null();
    if (temperature.is_null()) return;
    params["attn_scale"] = temperature.get_float("scale");
    params["floor_scale"] = temperature.get_float("floor");
  }

  const Config& model_;
  const MetaWidths& widths_;
  std::vector<std::string>& notes_;
  std::int64_t layers_;
  std::vector<std::string> problems_;
};

}  // namespace

std::string meta_params_text(const Config& model, const MetaWidths& widths, std::vector<std::string>& notes) {
  return ParamsWriter(model, widths, notes).params().dump(1) + "\n";
}

}  // namespace caravan::io
