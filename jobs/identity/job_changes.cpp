#include "jobs/identity/job_changes.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan::jobs {
namespace {

enum class Change {
  refused,        ///< another function, or another order of samples
  said,           ///< may change, and a line says so
  said_if_known,  ///< refused, unless a digest tells whether the file behind the path is another one
  number_said,    ///< a number may change, a word or a truth is another rule
  silent,         ///< about this start alone
};

/// The first rule that fits a key counts. Keys of plugins and of later versions fall under their section's.
constexpr struct {
  const char* keys;
  Change change;
} kRules[] = {
    {"seed", Change::refused},
    {"train.sequence_length", Change::refused},
    {"model.dispatch", Change::said},
    {"model.dispatch.*", Change::said},
    {"model.*", Change::refused},
    {"data.tokenizer", Change::said_if_known},
    {"data.parts.*.tokenizer", Change::said_if_known},
    {"data.*", Change::refused},
    {"optimizer.name", Change::refused},
    {"optimizer.*", Change::number_said},
    {"checkpoint.allow_changes", Change::silent},
    {"checkpoint.initial_load", Change::silent},
    {"checkpoint.from*", Change::silent},
    {"checkpoint.resume", Change::silent},
    {"*", Change::said},
};

/// Keys that a run has beside those of its job, see RunIdentity::facts.
constexpr const char* kFacts[] = {"data.digest", "data.tokens", "data.tokenizer_digest"};

bool fits(const std::string& glob, const std::string& key) {
  return ::fnmatch(glob.c_str(), key.c_str(), 0) == 0;
}

bool fits_any(const std::vector<std::string>& globs, const std::string& key) {
  return std::ranges::any_of(globs, [&](const std::string& glob) { return fits(glob, key); });
}

Change rule_of(const std::string& key) {
  return std::ranges::find_if(kRules, [&](const auto& rule) { return fits(rule.keys, key); })->change;
}

bool is_number(const std::string& text) {
  return parse_float(text).has_value();
}

bool has_digest(const Config& job) {
  return job.find("data").has("tokenizer_digest");
}

/// `are_known`: digests tell whether it is the same tokenizer.
Change change_of(const Difference& difference, bool are_known) {
  const Change rule = rule_of(difference.key);
  if (rule == Change::said_if_known) return are_known ? Change::said : Change::refused;
  if (rule != Change::number_said) return rule;
  return is_number(difference.first) && is_number(difference.second) ? Change::said : Change::refused;
}

}  // namespace

bool is_allowed(const std::vector<std::string>& allowed, const std::string& key) {
  return fits_any(allowed, key);
}

JobChanges sort_changes(const Config& before, const Config& now, const std::vector<std::string>& allowed) {
  JobChanges changes;
  const bool are_known = has_digest(before) && has_digest(now);
  for (Difference& difference : differences_of(before, now)) {
    const Change change = change_of(difference, are_known);
    if (change == Change::silent) continue;
    auto& list = change == Change::said              ? changes.said
                 : fits_any(allowed, difference.key) ? changes.allowed
                                                     : changes.refused;
    list.push_back(std::move(difference));
  }
  return changes;
}

void check_allowed(const std::vector<std::string>& allowed, const Config& resolved) {
  std::vector<std::string> keys(std::begin(kFacts), std::end(kFacts));
  for (const auto& [key, value] : leaves_of(resolved)) keys.push_back(key);
  for (const std::string& glob : allowed) {
    if (std::ranges::any_of(keys, [&](const std::string& key) { return fits(glob, key); })) continue;
    const std::string near = nearest_name(glob, keys);
    throw ConfigError(fmt::format("checkpoint.allow_changes names {} (no key of the resolved job).{}",
                                  shown(glob), near.empty() ? "" : " Did you mean '" + near + "'?"));
  }
}

}  // namespace caravan::jobs
