#include "plugins/layer/attention/options.hpp"

#include <algorithm>
#include <string>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"

namespace caravan::attention {
namespace {

constexpr caravan_param kScalingParams[] = {
    {"factor", "float", nullptr, "", "> 0", "How much long wavelengths grow."},
    {"low", "float", nullptr, "", "> 0", "Waves in `original` below which a wavelength grows whole."},
    {"high", "float", nullptr, "", "> 0", "Waves in `original` above which it stays."},
    {"original", "float", nullptr, "tokens", "> 0", "The length that the model was made for at first."},
};
constexpr caravan_param kTemperatureParams[] = {
    {"scale", "float", nullptr, "", "", "How much queries grow with the logarithm of their position."},
    {"floor", "float", nullptr, "tokens", "> 0", "Positions that have one temperature."},
};

std::optional<RotaryScaling> read_scaling(const Config& given) {
  if (given.is_null()) return std::nullopt;
  const Config node = validate(given, kScalingParams, "rope_scaling");
  return RotaryScaling{node.get_float("factor"), node.get_float("low"), node.get_float("high"),
                       node.get_float("original")};
}

float number(const Config& config, std::string_view key) {
  return static_cast<float>(config.get_float(key));
}

void check_ranks(const Options& options, const Mesh* mesh) {
  const std::int64_t ranks = mesh ? mesh->degree(MeshAxis::tp) : 1;
  CARAVAN_CHECK(options.heads % ranks == 0, ConfigError,
                "heads=" + std::to_string(options.heads) + " with parallel.tensor=" + std::to_string(ranks) +
                    " (each rank has the same number of heads). A divisor of " +
                    std::to_string(options.heads) + "?");
  CARAVAN_CHECK(options.kv_heads % ranks == 0 || ranks % options.kv_heads == 0, ConfigError,
                "kv_heads=" + std::to_string(options.kv_heads) +
                    " with parallel.tensor=" + std::to_string(ranks) +
                    " (ranks divide the key/value heads, or divide into groups that have one each: one "
                    "number must divide the other). A divisor or a multiple of " +
                    std::to_string(options.kv_heads) + "?");
}

}  // namespace

Options::Options(const Config& config, const Mesh* mesh)
    : dim(config.get_int("dim")),
      heads(config.get_int("heads")),
      kv_heads(config.get_int("kv_heads")),
      head_dim(config.get_int("head_dim")),
      positions(config.get_int("positions")),
      chunk(config.get_int("chunk_size")),
      norm_eps(number(config, "norm_eps")),
      dropout(number(config, "dropout")),
      attention_dropout(number(config, "attention_dropout")),
      init_std(number(config, "init_std")),
      out_std(number(config, "out_init_std")),
      rope(config.get_bool("rope")),
      qk_norm(config.get_bool("qk_norm")),
      rope_theta(config.get_float("rope_theta")),
      rope_scaling(read_scaling(config.find("rope_scaling"))) {
  if (const Config& given = config.find("temperature"); !given.is_null()) {
    const Config temperature = validate(given, kTemperatureParams, "temperature");
    temperature_scale = number(temperature, "scale");
    temperature_floor = number(temperature, "floor");
  }
  CARAVAN_CHECK(heads % kv_heads == 0, ConfigError,
                "heads=" + std::to_string(heads) +
                    " (must be a multiple of kv_heads=" + std::to_string(kv_heads) + ")");
  CARAVAN_CHECK(head_dim % 2 == 0, ConfigError,
                "head_dim=" + std::to_string(head_dim) + " (rotation pairs neighbours, so it must be even)");
  check_ranks(*this, mesh);
}

Heads::Heads(const Options& options, const Mesh* mesh) : dim(options.head_dim) {
  const std::int64_t ranks = mesh ? mesh->degree(MeshAxis::tp) : 1;
  queries = options.heads / ranks;
  keys = std::max<std::int64_t>(options.kv_heads / ranks, 1);
  first = mesh ? queries * mesh->coordinate(MeshAxis::tp) : 0;
}

}  // namespace caravan::attention
