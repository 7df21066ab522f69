#include "io/checkpoint/notes.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <span>
#include <vector>

#include "caravan/check.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".note";
constexpr std::uint64_t kMostBytes = 256'000'000;  // as a manifest

}  // namespace

std::string Notes::path_of(std::string_view name) const {
  return (fs::path(folder_) / fmt::format("{}{}", name, kEnding)).string();
}

void Notes::leave(std::string_view name, std::string_view text) const {
  const std::string path = path_of(name), beside = path + ".next";
  {
    File file(beside, O_WRONLY | O_CREAT | O_EXCL);
    file.write(std::as_bytes(std::span(text)));
  }  // closed before it is renamed: a network file system then shows it whole
  CARAVAN_CHECK(std::rename(beside.c_str(), path.c_str()) == 0, IoError, system_text("rename to", path));
}

std::optional<std::string> Notes::find(std::string_view name) const {
  const std::string path = path_of(name);
  if (!fs::exists(path)) {
    // Opening the folder is what makes a network file system ask its server: a name that was missing a moment
    // ago may stay missing in a client's memory for a minute.
    File(folder_, O_RDONLY | O_DIRECTORY);
    if (!fs::exists(path)) return std::nullopt;
  }
  return read_text(path, kMostBytes);
}

void Notes::remove_all() const {
  std::vector<fs::path> notes;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() == kEnding) notes.push_back(entry.path());
  }
  for (const fs::path& note : notes) fs::remove(note);
}

}  // namespace caravan::io
