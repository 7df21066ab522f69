#include "io/data/input_list.hpp"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>
#include <string_view>

#include "caravan/check.hpp"
#include "io/files/byte_source.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostListBytes = std::uint64_t{256} << 20;
constexpr std::size_t kMostNamed = 3;

/// What a folder's walk leaves out, by reason.
class Skipped {
 public:
  void add(const char* reason, const fs::path& path) { paths_[reason].push_back(path.string()); }

  /// ", 3 skipped (2 hidden: a, b; 1 no regular file: c)"
  std::string text() const {
    std::size_t all = 0;
    std::string reasons;
    for (const auto& [reason, paths] : paths_) {
      all += paths.size();
      reasons += fmt::format("{}{} {}: ", reasons.empty() ? "" : "; ", paths.size(), reason);
      for (std::size_t i = 0; i < std::min(paths.size(), kMostNamed); ++i)
        reasons += fmt::format("{}{}", i == 0 ? "" : ", ", paths[i]);
      if (paths.size() > kMostNamed) reasons += ", …";
    }
    return all == 0 ? "" : fmt::format(", {} skipped ({})", all, reasons);
  }

 private:
  std::map<std::string, std::vector<std::string>> paths_;
};

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

class Expansion {
 public:
  void add(const std::string& input) {
    if (input == kStandardInput) return add_standard_input();
    if (input.starts_with('@')) return add_list(input.substr(1));
    add_path(input);
  }

  InputList take() {
    std::map<std::string, int> times;
    for (const std::string& file : list_.files) ++times[fs::path(file).lexically_normal().string()];
    for (const auto& [file, count] : times) {
      if (count > 1)
        list_.warnings.push_back(fmt::format("{} is named {} times (it is read as often)", file, count));
    }
    return std::move(list_);
  }

 private:
  void add_standard_input() {
    CARAVAN_CHECK(!std::ranges::count(list_.files, kStandardInput), ConfigError,
                  "standard input ('-') is named twice (it can be read once). Leave one out?");
    list_.files.push_back(kStandardInput);
  }

  void add_list(const std::string& list) {
    const std::vector<std::string> inputs = read_input_list(list);
    for (const std::string& input : inputs) add_path(input);
    list_.notes.push_back(fmt::format("{}: a list of {} inputs", list, inputs.size()));
  }

  void add_path(const std::string& path) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) return add_folder(path);
    const bool is_glob = path.find_first_of("*?[") != std::string::npos && !fs::exists(path, ignored);
    if (is_glob) return add_matches(path);
    list_.files.push_back(path);
  }

  void add_matches(const std::string& pattern) {
    CARAVAN_CHECK(
        pattern.find("**") == std::string::npos, ConfigError,
        fmt::format("'{}' (** is not known). Name the folder, whose files are all taken, those of its "
                    "folders too?",
                    pattern));
    glob_t matches{};
    const int result = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &matches);
    const int error = errno;
    const std::vector<std::string> paths(matches.gl_pathv,
                                         matches.gl_pathv + (result == 0 ? matches.gl_pathc : 0));
    ::globfree(&matches);
    CARAVAN_CHECK(result == 0 || result == GLOB_NOMATCH, IoError,
                  fmt::format("cannot look for {} (a folder cannot be read: {}). Is its name right?", pattern,
                              std::strerror(error)));
    CARAVAN_CHECK(!paths.empty(), IoError, fmt::format("{} matches no file. Is the path right?", pattern));
    for (const std::string& path : paths) {
      if (fs::is_directory(path))
        add_folder(path);
      else
        list_.files.push_back(path);
    }
    list_.notes.push_back(fmt::format("{}: {} matches", pattern, paths.size()));
  }

  void add_folder(const std::string& folder) {
    std::vector<std::string> files;
    Skipped skipped;
    try {
      walk(folder, files, skipped);
    } catch (const fs::filesystem_error& error) {
      throw IoError(fmt::format("cannot read the folder {} ({}). May you read it?", error.path1().string(),
                                error.code().message()));
    }
    CARAVAN_CHECK(!files.empty(), IoError,
                  fmt::format("{} holds no file to read{}. Is it the right folder?", folder, skipped.text()));
    std::ranges::sort(files);
    list_.notes.push_back(fmt::format("{}: {} files taken{}", folder, files.size(), skipped.text()));
    list_.files.insert(list_.files.end(), files.begin(), files.end());
  }

  static void walk(const std::string& folder, std::vector<std::string>& files, Skipped& skipped) {
    for (fs::recursive_directory_iterator entry(folder), end; entry != end; ++entry) {
      const fs::path& path = entry->path();
      const bool is_folder = entry->is_directory();
      if (is_hidden(path)) {
        skipped.add("hidden", path);
        if (is_folder) entry.disable_recursion_pending();
      } else if (is_folder && entry->is_symlink()) {
        skipped.add("a link to a folder", path);
      } else if (!is_folder && !entry->is_regular_file()) {
        skipped.add("no regular file", path);
      } else if (!is_folder) {
        files.push_back(path.string());
      }
    }
  }

  InputList list_;
};

}  // namespace

std::vector<std::string> read_input_list(const std::string& list) {
  std::istringstream lines(read_text(list, kMostListBytes));
  std::vector<std::string> inputs;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    CARAVAN_CHECK(!line.starts_with('@') && line != kStandardInput, ConfigError,
                  fmt::format("{}: '{}' (a list holds files, folders and globs). Name it beside the list?",
                              list, line));
    inputs.push_back(line);
  }
  CARAVAN_CHECK(!inputs.empty(), IoError, fmt::format("{} lists nothing (one path a line is needed)", list));
  return inputs;
}

InputList expand_inputs(const std::vector<std::string>& inputs) {
  Expansion expansion;
  for (const std::string& input : inputs) expansion.add(input);
  return expansion.take();
}

}  // namespace caravan::io
