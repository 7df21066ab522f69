#include "jobs/plugins/skeleton.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "caravan/check.hpp"
#include "caravan/config.hpp"
#include "caravan/fingerprint.h"
#include "io/files/pending_file.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;
using Values = std::vector<std::pair<std::string, std::string>>;

/// "gpipe_reversed", "schedule" → "GpipeReversedSchedule": with its kind, so that it starts with a letter and
/// cannot be the name of the interface.
std::string class_name(const std::string& name, const std::string& kind) {
  std::string out;
  bool begins = true;
  for (const char c : (std::isdigit(static_cast<unsigned char>(name[0])) ? "no_" : "") + name + "_" + kind) {
    if (c != '_') out += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    begins = c == '_';
  }
  return out;
}

std::string filled(std::string text, const Values& values) {
  for (const auto& [key, value] : values) {
    const std::string mark = "{{" + key + "}}";
    for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += value.size()) {
      text.replace(at, mark.size(), value);
    }
  }
  return text;
}

void check_kind(const std::string& kind) {
  const std::vector<std::string> kinds = skeleton_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) return;
  const std::string near = nearest_name(kind, kinds);
  throw ConfigError(fmt::format("there is no plugin kind '{}' (known: {}).{}", kind, fmt::join(kinds, ", "),
                                near.empty() ? "" : fmt::format(" Did you mean '{}'?", near)));
}

void check_name(const std::string& name) {
  const bool word = !name.empty() && name.size() <= 40 && name[0] != '_' &&
                    name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  CARAVAN_CHECK(word, ConfigError,
                fmt::format("plugin name '{}' (must be a-z, 0-9 and _, at most 40 of them)", name));
}

}  // namespace

std::vector<std::string> skeleton_kinds() {
  std::vector<std::string> kinds;
  for (const auto& [file, text] : skeletons()) {
    if (file.ends_with(".cpp")) kinds.push_back(file.substr(0, file.size() - 4));
  }
  return kinds;
}

std::vector<std::string> write_skeleton(const std::string& kind, const std::string& name,
                                        const std::string& directory) {
  check_kind(kind);
  check_name(name);
  std::error_code error;
  CARAVAN_CHECK(!fs::exists(directory, error) || fs::is_empty(directory, error), ConfigError,
                fmt::format("{} is not an empty directory (nothing is overwritten). Name another with --dir?",
                            directory));
  fs::create_directories(directory, error);
  CARAVAN_CHECK(!error, IoError, fmt::format("cannot create {} ({})", directory, error.message()));
  const Values values = {
      {"kind", kind}, {"name", name}, {"Class", class_name(name, kind)}, {"version", CARAVAN_VERSION}};
  std::vector<std::string> written;
  for (const auto& [skeleton, file] : Values{{"CMakeLists.txt", "CMakeLists.txt"},
                                             {"README.md", "README.md"},
                                             {kind + ".cpp", name + ".cpp"}}) {
    written.push_back((fs::path(directory) / file).string());
    io::write_output(written.back(), filled(skeletons().at(skeleton), values));
  }
  return written;
}

}  // namespace caravan::jobs
