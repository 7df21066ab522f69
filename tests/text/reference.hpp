#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caravan::test {

/// <the folder in that variable>/name, or "" when this machine has none.
inline std::string file_below(const char* variable, const std::string& name) {
  const char* folder = std::getenv(variable);
  const std::string path = folder ? std::string(folder) + "/" + name : "";
  return std::filesystem::exists(path) ? path : "";
}
/// "" when this machine has no independent expectations.
inline std::string reference_file(const std::string& name) {
  return file_below("CARAVAN_REFERENCE_DIR", name);
}
/// "" when this machine has no inputs of public bug reports.
inline std::string case_file(const std::string& name) {
  return file_below("CARAVAN_CASES_DIR", name);
}

inline std::vector<nlohmann::json> read_json_lines(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace caravan::test

#define CARAVAN_NEED_REFERENCE(variable, name)                      \
  const std::string variable = caravan::test::reference_file(name); \
  if (variable.empty()) GTEST_SKIP() << "no " << name << " in CARAVAN_REFERENCE_DIR"
#define CARAVAN_NEED_CASE(variable, name)                      \
  const std::string variable = caravan::test::case_file(name); \
  if (variable.empty()) GTEST_SKIP() << "no " << name << " in CARAVAN_CASES_DIR"
