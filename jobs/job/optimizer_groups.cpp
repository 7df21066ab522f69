#include "jobs/job/optimizer_groups.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "core/run/name_hint.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

using Group = OptimizerGroups::Group;

constexpr std::size_t kMostGroups = 1000;

bool fits(const std::string& glob, const std::string& name) {
  return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

bool fits_any(const Group& group, const std::string& name) {
  return std::any_of(group.globs.begin(), group.globs.end(),
                     [&](const std::string& glob) { return fits(glob, name); });
}

/// A single glob stands for a list of it.
Config with_list(Config item) {
  if (item.kind() != Config::Kind::map) return item;
  const Config given = item.find("parameters");
  if (given.kind() != Config::Kind::scalar) return item;
  Config globs = Config::list();
  globs.append(given);
  item.set("parameters", std::move(globs));
  return item;
}

Group read_group(const Config& item) {
  const Config given = validate(with_list(item), kOptimizerGroupParams, "a group of optimizer.groups");
  Group group{given.at("parameters").as_string_list(), {}, item.where()};
  CARAVAN_CHECK(!group.globs.empty(), ConfigError,
                group.where + ": optimizer.groups has a group without globs. Leave it out?");
  group.rule.lr_factor = given.get_float("lr_factor");
  if (const Config& decay = given.find("weight_decay"); !decay.is_null())
    group.rule.weight_decay = decay.as_float();
  group.rule.frozen = given.get_bool("frozen");
  const bool is_trained = group.rule.lr_factor != 1 || group.rule.weight_decay;
  CARAVAN_CHECK(
      !group.rule.frozen || !is_trained, ConfigError,
      fmt::format("{}: optimizer.groups: {} is frozen and has a learning rate or a decay of its own "
                  "(it does not learn). Leave one out?",
                  group.where, group.name()));
  CARAVAN_CHECK(group.rule.frozen || is_trained, ConfigError,
                fmt::format("{}: optimizer.groups: {} has no rule. lr_factor, weight_decay or frozen: true?",
                            group.where, group.name()));
  return group;
}

/// Names of the parts, as checkpoints have them.
template <class Visit>
void for_each_name(const ParameterStore& store, const Visit& visit) {
  for (const auto& parameter : store.parameters())
    for (const ParameterPart& part : parameter->spec().parts) visit(parameter->spec(), part.name);
}

}  // namespace

std::string Group::name() const {
  return fmt::format("{}", fmt::join(globs, ", "));
}

OptimizerGroups OptimizerGroups::read(const Config& list) {
  OptimizerGroups read;
  if (list.is_null()) return read;
  CARAVAN_CHECK(
      list.kind() == Config::Kind::list, ConfigError,
      list.where() + ": optimizer.groups is no list of maps. [{parameters: \"*norm*\", weight_decay: 0}]?");
  CARAVAN_CHECK(list.items().size() <= kMostGroups, ConfigError,
                fmt::format("{}: optimizer.groups has {} groups (at most {}). Globs fit many parameters?",
                            list.where(), list.items().size(), kMostGroups));
  for (const Config& item : list.items()) read.groups_.push_back(read_group(item));
  return read;
}

Config OptimizerGroups::resolved() const {
  Config list = Config::list();
  for (const Group& group : groups_) {
    Config item = Config::map(), globs = Config::list();
    for (const std::string& glob : group.globs) globs.append(Config::scalar(glob));
    item.set("parameters", globs);
    item.set("lr_factor", fmt::format("{}", group.rule.lr_factor));
    if (group.rule.weight_decay) item.set("weight_decay", fmt::format("{}", *group.rule.weight_decay));
    item.set("frozen", group.rule.frozen ? "true" : "false");
    list.append(item);
  }
  return list;
}

std::optional<std::size_t> OptimizerGroups::group_of(const ParameterSpec& spec) const {
  for (std::size_t index = 0; index < groups_.size(); ++index) {
    const std::ptrdiff_t hits =
        std::count_if(spec.parts.begin(), spec.parts.end(),
                      [&](const ParameterPart& part) { return fits_any(groups_[index], part.name); });
    if (hits == 0) continue;
    CARAVAN_CHECK(
        hits == std::ssize(spec.parts), ConfigError,
        fmt::format(
            "{}: optimizer.groups: {} names {} of the {} parts of {} (they are one block in memory and "
            "one product). Name all of them?",
            groups_[index].where, groups_[index].name(), hits, spec.parts.size(), spec.name));
    return index;
  }
  return std::nullopt;
}

UpdateRule OptimizerGroups::rule_of(const ParameterSpec& spec) const {
  const auto group = group_of(spec);
  return group ? groups_[*group].rule : UpdateRule{};
}

void OptimizerGroups::check_globs(const ParameterStore& whole_model) const {
  std::vector<std::string> names;
  for_each_name(whole_model, [&](const ParameterSpec&, const std::string& name) { names.push_back(name); });
  for (const Group& group : groups_) {
    for (const std::string& glob : group.globs) {
      const bool fits_some =
          std::any_of(names.begin(), names.end(), [&](const std::string& name) { return fits(glob, name); });
      CARAVAN_CHECK(fits_some, ConfigError,
                    fmt::format("{}: optimizer.groups: '{}' fits no parameter ({}). Misspelled?", group.where,
                                glob, name_hint(glob, names)));
    }
  }
}

void OptimizerGroups::check(const ParameterStore& whole_model) const {
  if (empty()) return;
  check_globs(whole_model);
  std::vector<bool> has_some(groups_.size());
  bool trains = false;
  for (const auto& parameter : whole_model.parameters()) {
    const auto group = group_of(parameter->spec());
    if (group) has_some[*group] = true;
    trains |= !group || !groups_[*group].rule.frozen;
  }
  for (std::size_t index = 0; index < groups_.size(); ++index)
    CARAVAN_CHECK(has_some[index], ConfigError,
                  fmt::format("{}: optimizer.groups: all that {} fits is in groups before it (the first that "
                              "fits counts). Before them?",
                              groups_[index].where, groups_[index].name()));
  CARAVAN_CHECK(
      trains, ConfigError,
      fmt::format("{}: optimizer.groups: every parameter is frozen (there is nothing to learn). Leave a "
                  "group out?",
                  groups_.front().where));
}

}  // namespace caravan::jobs
