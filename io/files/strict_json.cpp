#include "io/files/strict_json.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <set>
#include <vector>

namespace caravan::io {
namespace {

using nlohmann::json;

constexpr int kMostLevels = 64;

/// nlohmann keeps the last of two equal keys silently, so the keys of every open object are remembered here.
class KeyWatch {
 public:
  explicit KeyWatch(const std::string& what) : what_(what) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    CARAVAN_CHECK(depth < kMostLevels, IoError,
                  fmt::format("{} is nested more than {} levels deep", what_, kMostLevels));
    if (event == json::parse_event_t::object_start) open_.emplace_back();
    if (event == json::parse_event_t::object_end) open_.pop_back();
    if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      CARAVAN_CHECK(open_.back().insert(key).second, IoError,
                    fmt::format("{} has the key '{}' twice", what_, key));
    }
    return true;
  }

 private:
  const std::string& what_;
  std::vector<std::set<std::string>> open_;
};

}  // namespace

json parse_json_strict(std::string_view text, const std::string& what) {
  KeyWatch watch(what);
  try {
    return json::parse(text, [&watch](int depth, json::parse_event_t event, json& parsed) {
      return watch(depth, event, parsed);
    });
  } catch (const json::exception& problem) {
    throw IoError(fmt::format("{} is not valid JSON ({})", what, problem.what()));
  }
}

bool is_int64(const json& value) noexcept {
  return value.is_number_unsigned() ? value.get<std::uint64_t>() <= INT64_MAX : value.is_number_integer();
}

std::int64_t int64_of(const json& value) {
  CARAVAN_CHECK(is_int64(value), IoError,
                fmt::format("{} is no whole number of 64 bits", value.dump(-1, ' ', true)));
  return value.get<std::int64_t>();
}

std::uint64_t uint64_of(const json& value) {
  CARAVAN_CHECK(value.is_number_unsigned(), IoError,
                fmt::format("{} is no whole number from 0 on", value.dump(-1, ' ', true)));
  return value.get<std::uint64_t>();
}

}  // namespace caravan::io
