#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "caravan/config.hpp"

namespace caravan {
namespace {

constexpr std::size_t kLongestName = 128;  // the comparison is quadratic, and names can come from outside

/// Case and the choice of '-' or '_' are no distance.
std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name)
    out += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.empty() || name.size() > kLongestName) return "";
  const std::string wanted = folded(name);
  std::size_t best = std::max<std::size_t>(2, wanted.size() / 3) + 1;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || candidate.size() > kLongestName) continue;
    const std::size_t distance = edit_distance(wanted, folded(candidate));
    if (distance >= best || distance >= wanted.size()) continue;
    best = distance;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace caravan
