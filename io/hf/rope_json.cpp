#include "io/hf/rope_json.hpp"

#include "caravan/check.hpp"
#include "io/hf/config_values.hpp"

#include <fmt/format.h>

#include <optional>

namespace caravan::io {
namespace {

constexpr double kDefaultTheta = 500000;
constexpr double kDefaultPositions = 131072;

class Rope {
 public:
  Rope(const JsonFields& fields, std::vector<std::string>& warnings)
      : fields_(fields), warnings_(warnings), key_(chosen_key()) {
    if (key_) inner_.emplace(fields.inner(key_));
    type_ = read_type();
    check_expressible();
  }

  double theta() const {
    const double outer = fields_.number("rope_theta", kDefaultTheta);
    const JsonFields& said = inner_ && inner_->has("rope_theta") ? *inner_ : fields_;
    const double theta = said.positive("rope_theta", kDefaultTheta);
    if (fields_.has("rope_theta") && theta != outer) warn("rope_theta", outer, "rope_theta", theta);
    return theta;
  }

  Config scaling() const {
    if (type_ == "default") return Config();
    CARAVAN_CHECK(type_ == "llama3", IoError,
                  fmt::format("{}: rope_type is '{}' (only default and llama3)", inner_->path(), type_));
    Config scaling = Config::map();
    scaling.set("factor", number(positive("factor")));
    scaling.set("low", number(positive("low_freq_factor")));
    scaling.set("high", number(positive("high_freq_factor")));
    scaling.set("original", number(original()));
    return scaling;
  }

 private:
  bool is_filled(const char* key) const { return fields_.has(key) && !fields_.at(key).empty(); }

  /// The older key wins where it says anything.
  const char* chosen_key() const {
    if (!is_filled("rope_scaling")) return is_filled("rope_parameters") ? "rope_parameters" : nullptr;
    if (is_filled("rope_parameters") && fields_.at("rope_scaling") != fields_.at("rope_parameters"))
      warnings_.push_back(
          fmt::format("{}: rope_scaling and rope_parameters differ; rope_scaling counts, as in "
                      "transformers",
                      fields_.path()));
    return "rope_scaling";
  }

  /// Transformers has no rotation for one kind of layers, nor for a part of a head with llama3.
  void check_expressible() const {
    if (!key_) return;
    for (const char* kind : {"full_attention", "chunked_attention"})
      if (inner_->has(kind)) inner_->refuse(kind, "one rotation for all layers is needed");
    for (const JsonFields* fields : {&fields_, &*inner_}) {
      if (fields->number("partial_rotary_factor", 1) == 1) continue;
      if (type_ != "default") fields->refuse("partial_rotary_factor", "whole heads are rotated");
      warnings_.push_back(
          fmt::format("{}: partial_rotary_factor has no effect, as in transformers", fields->path()));
    }
  }

  std::string read_type() const {
    if (!inner_) return "default";
    const std::string older = inner_->text("type", "default"), type = inner_->text("rope_type", older);
    if (inner_->has("type") && type != older)
      warnings_.push_back(
          fmt::format("{}: rope_type is '{}' and type is '{}'; rope_type counts, as in transformers",
                      inner_->path(), type, older));
    return type;
  }

  double positive(const char* key) const { return inner_->positive(key, inner_->number(key)); }

  double original() const {
    static constexpr const char* kKey = "original_max_position_embeddings";
    const double inside =
        inner_->has(kKey) ? positive(kKey) : fields_.number("max_position_embeddings", kDefaultPositions);
    const double original = fields_.number(kKey, inside);
    if (!(original > 0)) fields_.refuse(kKey, "a number above 0 is needed");
    if (inner_->has(kKey) && original != inside) warn(kKey, original, kKey, inside, "the first counts");
    return original;
  }

  void warn(const char* outer_key, double outer, const char* key, double inside,
            std::string_view decision = "the second counts") const {
    warnings_.push_back(fmt::format("{}: {} is {} and {}.{} is {}; {}, as in transformers", fields_.path(),
                                    outer_key, outer, key_, key, inside, decision));
  }

  const JsonFields& fields_;
  std::vector<std::string>& warnings_;
  const char* key_;
  std::optional<JsonFields> inner_;
  std::string type_;
};

}  // namespace

void add_rope(const JsonFields& fields, Config& model, std::vector<std::string>& warnings) {
  const Rope rope(fields, warnings);
  model.set("rope_theta", number(rope.theta()));
  model.set("rope_scaling", rope.scaling());
}

}  // namespace caravan::io
