#include "jobs/submit/sweep.hpp"

#include <fmt/format.h>

#include <string_view>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kMostTasks = 1000;  // Slurm's MaxArraySize is 1001 unless configured

std::vector<std::string> split_values(std::string_view text) {
  std::vector<std::string> values{""};
  int depth = 0;
  char quote = 0;
  for (char c : text) {
    if (quote != 0) {
      quote = c == quote ? 0 : quote;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    }
    if (c == ',' && depth == 0 && quote == 0) {
      values.emplace_back();
    } else {
      values.back() += c;
    }
  }
  return values;
}

std::vector<std::string> assignments(const std::string& list) {
  const std::size_t equals = list.find('=');
  CARAVAN_CHECK(
      equals != std::string::npos && equals > 0 && equals + 1 < list.size(), ConfigError,
      fmt::format("--array {} (a key of the job with its values). Write --array train.lr=1e-3,3e-4?",
                  shown(list)));
  std::vector<std::string> all;
  for (const std::string& value : split_values(std::string_view(list).substr(equals + 1)))
    all.push_back(list.substr(0, equals + 1) + value);
  return all;
}

}  // namespace

std::vector<std::vector<std::string>> expand_sweep(const std::vector<std::string>& lists) {
  std::vector<std::vector<std::string>> tasks{{}};
  for (const std::string& list : lists) {
    const std::vector<std::string> choices = assignments(list);
    CARAVAN_CHECK(tasks.size() * choices.size() <= kMostTasks, ConfigError,
                  fmt::format("--array gives {} tasks (at most {}). Submit parts of it?",
                              tasks.size() * choices.size(), kMostTasks));
    std::vector<std::vector<std::string>> product;
    for (const auto& task : tasks) {
      for (const std::string& choice : choices) {
        product.push_back(task);
        product.back().push_back(choice);
      }
    }
    tasks = std::move(product);
  }
  return tasks;
}

}  // namespace caravan::jobs
