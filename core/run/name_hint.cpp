#include "core/run/name_hint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

#include "caravan/config.hpp"

namespace caravan {
namespace {

constexpr std::size_t kMostNamed = 3;

/// Without wildcards, and dots at the ends.
std::string plain_text(const std::string& glob) {
  std::string text;
  for (const char c : glob)
    if (c != '*' && c != '?' && !(c == '.' && (text.empty() || text.back() == '.'))) text += c;
  if (text.ends_with('.')) text.pop_back();
  return text;
}

/// Every stretch of as many words as `like` has, which dots divide.
std::vector<std::string> stretches(const std::string& name, const std::string& like) {
  std::vector<std::size_t> begins{0};
  for (std::size_t at = 0; at < name.size(); ++at)
    if (name[at] == '.') begins.push_back(at + 1);
  const auto words = static_cast<std::size_t>(std::count(like.begin(), like.end(), '.')) + 1;
  begins.push_back(name.size() + 1);
  std::vector<std::string> found;
  for (std::size_t first = 0; first + words < begins.size(); ++first)
    found.push_back(name.substr(begins[first], begins[first + words] - 1 - begins[first]));
  return found;
}

std::vector<std::string> names_around(const std::string& glob, const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (found.size() < kMostNamed && ::fnmatch(("*" + glob + "*").c_str(), name.c_str(), 0) == 0)
      found.push_back(name);
  return found;
}

std::vector<std::string> names_nearest(const std::string& glob, const std::vector<std::string>& names) {
  const std::string like = plain_text(glob);
  std::vector<std::string> all;
  for (const std::string& name : names)
    for (std::string& stretch : stretches(name, like)) all.push_back(std::move(stretch));
  const std::string near = nearest_name(like, all);
  return near.empty() ? std::vector<std::string>{} : names_around(near, names);
}

}  // namespace

std::string name_hint(const std::string& glob, const std::vector<std::string>& names) {
  std::vector<std::string> near = names_around(glob, names);
  if (near.empty()) near = names_nearest(glob, names);
  if (!near.empty()) return fmt::format("near {} {}", near.size() == 1 ? "is" : "are", fmt::join(near, ", "));
  return names.empty() ? "there is none" : "their names are such as " + names.back();
}

}  // namespace caravan
