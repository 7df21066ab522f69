#include "plugins/layer/moe/options.hpp"

#include <algorithm>
#include <cmath>

#include "caravan/check.hpp"

namespace caravan::moe {
namespace {

float number(const Config& config, std::string_view key) {
  return static_cast<float>(config.get_float(key));
}

ScoreFunction score_function(const std::string& name) {
  if (name == "softmax") return ScoreFunction::softmax;
  return name == "sigmoid" ? ScoreFunction::sigmoid : ScoreFunction::softmax_selected;
}

RouterRule read_rule(const Config& config) {
  RouterRule rule;
  rule.score = score_function(config.get_string("score"));
  rule.top_k = config.get_int("top_k");
  rule.normalise = config.get_bool("normalise");
  rule.scale = number(config, "score_scale");
  rule.bias_in_weight = config.get_bool("bias_in_score");
  rule.groups = config.get_int("groups");
  rule.limited_groups = config.get_int("limited_groups");
  return rule;
}

void check_groups(const RouterRule& rule, std::int64_t experts) {
  if (rule.groups == 0) return;
  CARAVAN_CHECK(experts % rule.groups == 0 && experts / rule.groups >= 2, ConfigError,
                "groups=" + std::to_string(rule.groups) + " (must divide experts=" + std::to_string(experts) +
                    " into groups of at least two)");
  CARAVAN_CHECK(rule.limited_groups >= 1 && rule.limited_groups <= rule.groups, ConfigError,
                "limited_groups=" + std::to_string(rule.limited_groups) + " (must be 1.." +
                    std::to_string(rule.groups) + ", the number of groups)");
  const std::int64_t eligible = experts / rule.groups * rule.limited_groups;
  CARAVAN_CHECK(
      rule.top_k <= eligible, ConfigError,
      "top_k=" + std::to_string(rule.top_k) + " with limited_groups=" + std::to_string(rule.limited_groups) +
          " of groups=" + std::to_string(rule.groups) + " (a token chooses among " +
          std::to_string(eligible) + " of experts=" + std::to_string(experts) + "). More limited_groups?");
}

void check_ranks(std::int64_t experts, const Mesh* mesh) {
  const std::int64_t ranks = mesh ? mesh->degree(MeshAxis::ep) : 1;
  CARAVAN_CHECK(experts % ranks == 0, ConfigError,
                "experts=" + std::to_string(experts) + " with parallel.expert=" + std::to_string(ranks) +
                    " (each rank has the same number of experts). A divisor of " + std::to_string(experts) +
                    "?");
}

}  // namespace

Options::Options(const Config& config, const Mesh* mesh)
    : name(config.get_string("name")),
      cuts_experts(mesh && mesh->degree(MeshAxis::etp) > 1),
      dim(config.get_int("dim")),
      experts(config.get_int("experts")),
      hidden(config.get_int("hidden")),
      shared_hidden(config.get_int("shared_hidden")),
      rule(read_rule(config)),
      lora(read_low_rank(config.find("lora"))),
      score_side(config.get_string("score_on") == "input" ? ScoreSide::input : ScoreSide::output),
      noisy(config.get_bool("noisy")),
      centre(config.get_bool("load_balance_centre")),
      capacity_factor(config.at("capacity_factor").is_null()
                          ? std::nullopt
                          : std::optional(config.get_float("capacity_factor"))),
      norm_eps(number(config, "norm_eps")),
      bias_rate(number(config, "load_balance_rate")),
      balance_loss(number(config, "balance_loss")),
      dropout(number(config, "dropout")),
      init_std(number(config, "init_std")),
      out_std(number(config, "out_init_std")) {
  CARAVAN_CHECK(
      rule.top_k <= experts, ConfigError,
      "top_k=" + std::to_string(rule.top_k) + " (there are only experts=" + std::to_string(experts) + ")");
  check_groups(rule, experts);
  check_ranks(experts, mesh);
}

std::int64_t Options::capacity(std::int64_t sequence_length) const {
  if (!capacity_factor) return 0;
  const std::int64_t choices = sequence_length * rule.top_k;
  const auto even = static_cast<double>((choices + experts - 1) / experts);
  // An expert that takes none is not meant, and none is chosen more often than there are tokens.
  const double most = std::max(even * *capacity_factor, *capacity_factor);
  return static_cast<std::int64_t>(std::clamp(std::floor(most), 1.0, static_cast<double>(sequence_length)));
}

}  // namespace caravan::moe
