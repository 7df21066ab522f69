#pragma once

#include <CLI/App.hpp>
#include <string>

namespace caravan::jobs {

/// A script for bash that completes verbs, options and the words that options take; files elsewhere.
std::string bash_completion(const CLI::App& app, const std::string& version);

}  // namespace caravan::jobs
