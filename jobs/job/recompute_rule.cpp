#include "jobs/job/recompute_rule.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

using Kind = RecomputeRule::Kind;

RecomputeRule of_word(const std::string& word) {
  if (word == "full") return {Kind::every};
  if (word == "selective") return {Kind::every, 1, usually_kept()};
  if (word == "stage") return {Kind::stage};
  return {};
}

}  // namespace

const std::vector<std::string>& usually_kept() {
  static const std::vector<std::string> kParts{kInputSection, "attention", "router", "swiglu.in",
                                               "experts.in",  "combine",   "inner",  "outer"};
  return kParts;
}

RecomputeRule read_recompute(const Config& node) {
  if (node.kind() != Config::Kind::map) return of_word(node.as_string());
  const Config given = validate(node, kRecomputeParams, "train.recompute");
  CARAVAN_CHECK(node.entries().size() == 1, ConfigError,
                fmt::format("{}: train.recompute has {} keys (one of every, selective and budget)",
                            node.where(), node.entries().size()));
  CARAVAN_CHECK(
      !node.entries().front().second.is_null(), ConfigError,
      fmt::format("{}: train.recompute.{} has no value", node.where(), node.entries().front().first));
  if (node.has("every")) return {Kind::every, given.get_int("every")};
  if (node.has("selective")) return {Kind::every, 1, given.at("selective").as_string_list()};
  return {Kind::budget, 1, {}, given.get_float("budget")};
}

std::string recompute_yaml(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return text;
  const std::string key = text.substr(0, equals);
  std::string value = text.substr(equals + 1);
  std::replace(value.begin(), value.end(), '+', ',');
  if (key == "selective") value = "[" + value + "]";
  return fmt::format("{{{}: {}}}", key, value);
}

}  // namespace caravan::jobs
