#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace caravan::jobs {

/// A file to be written.
struct Page {
  std::string name;  ///< caravan-train.1
  std::string text;
};

/// Manual pages, section 1, of an executable with verbs: one that lists them, and one each.
std::vector<Page> man_pages(const CLI::App& app, const std::string& version);

}  // namespace caravan::jobs
