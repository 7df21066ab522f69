#include "core/plugin/fingerprint.hpp"

#include <fmt/format.h>

#include <map>

namespace caravan {
namespace {

using Keys = std::map<std::string, std::string, std::less<>>;

Keys split(std::string_view fingerprint) {
  Keys keys;
  for (std::size_t begin = 0; begin < fingerprint.size();) {
    const std::size_t end = std::min(fingerprint.find(';', begin), fingerprint.size());
    const std::string_view entry = fingerprint.substr(begin, end - begin);
    const std::size_t equals = std::min(entry.find('='), entry.size());
    keys.emplace(entry.substr(0, equals), equals < entry.size() ? entry.substr(equals + 1) : "");
    begin = end + 1;
  }
  return keys;
}

std::string value_in(const Keys& keys, const std::string& key) {
  const auto found = keys.find(key);
  return found == keys.end() ? "none" : found->second;
}

}  // namespace

std::vector<std::string> fingerprint_differences(std::string_view plugin, std::string_view host) {
  const Keys theirs = split(plugin), ours = split(host);
  Keys all = theirs;
  all.insert(ours.begin(), ours.end());
  std::vector<std::string> lines;
  for (const auto& [key, unused] : all) {
    const std::string their_value = value_in(theirs, key), our_value = value_in(ours, key);
    if (their_value != our_value)
      lines.push_back(fmt::format("{}: plugin {}, host {}", key, their_value, our_value));
  }
  return lines;
}

}  // namespace caravan
