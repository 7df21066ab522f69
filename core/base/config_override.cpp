#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/config.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan {
namespace {

constexpr const char* kPlace = "command line";

std::vector<std::string> split_path(std::string_view path, std::string_view assignment) {
  constexpr std::size_t kMostLevels = 64;
  std::vector<std::string> keys;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    keys.emplace_back(path.substr(begin, end - begin));
    CARAVAN_CHECK(!keys.back().empty() && keys.size() <= kMostLevels, ConfigError,
                  fmt::format("{}: {} has an empty key or more than {} levels. Write key.key=value?", kPlace,
                              shown(assignment), kMostLevels));
    begin = end + 1;
  }
  return keys;
}

Config parse_value(std::string_view value, std::string_view assignment) {
  try {
    return Config::parse(value, kPlace);
  } catch (ConfigError& error) {
    error.add_context(fmt::format("the assignment {}", shown(assignment)));
    throw;
  }
}

}  // namespace

void Config::override_with(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  CARAVAN_CHECK(equals != std::string_view::npos, ConfigError,
                fmt::format("{}: {} has no '='. Write key.key=value?", kPlace, shown(assignment)));
  const std::vector<std::string> keys = split_path(assignment.substr(0, equals), assignment);
  Config value = parse_value(assignment.substr(equals + 1), assignment);
  value.set_line(0);
  set_nested(keys, 0, std::move(value));
}

void Config::set_nested(const std::vector<std::string>& keys, std::size_t depth, Config value) {
  if (depth + 1 == keys.size()) return set(keys[depth], std::move(value));
  const Config& found = find(keys[depth]);
  CARAVAN_CHECK(found.is_null() || found.kind() == Kind::map, ConfigError,
                fmt::format("{}: cannot set '{}' inside {} (it is not a map, see {}). Set {} as a whole?",
                            kPlace, keys[depth + 1], found.path(), found.where(), found.path()));
  Config child = found.is_null() ? map() : found;
  if (found.is_null()) child.file_ = kPlace;
  child.set_path(path_.empty() ? keys[depth] : path_ + "." + keys[depth]);
  child.set_nested(keys, depth + 1, std::move(value));
  set(keys[depth], std::move(child));
}

void Config::set_line(int line) {
  line_ = line;
  for (auto& entry : entries_) entry.second.set_line(line);
  for (Config& item : items_) item.set_line(line);
}

}  // namespace caravan
