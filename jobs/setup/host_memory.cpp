#include "jobs/setup/host_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>

#include "caravan/check.hpp"
#include "caravan/open_file.hpp"
#include "core/base/config_scalar.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// The number of a line "MemTotal:  24576 kB", in bytes.
std::size_t kilobytes_of(const std::string& line) {
  const std::size_t begin = line.find_first_of("0123456789");
  if (begin == std::string::npos) return 0;
  const auto value = parse_int(std::string_view(line).substr(begin, line.find(' ', begin) - begin));
  return value && *value > 0 ? static_cast<std::size_t>(*value) * 1024 : 0;
}

/// What the system says at `path`; nothing where it does not.
std::istringstream said_at(const std::string& path) {
  constexpr std::uint64_t kMost = 1 << 20;
  try {
    return std::istringstream(read_file(path, kMost));
  } catch (const IoError&) {
    return {};
  }
}

/// The folder of this process's group, "/user.slice/…"; empty where there are none of version 2.
std::string own_group() {
  std::istringstream groups = said_at("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::/")) return line.substr(3);
  }
  return {};
}

/// The least limit of the group and of those that it lies in.
std::size_t least_limit(std::size_t total) {
  constexpr const char* kRoot = "/sys/fs/cgroup";
  const std::string group = own_group();
  for (fs::path folder = kRoot + group;
       !group.empty() && folder.string().size() >= std::string_view(kRoot).size();
       folder = folder.parent_path()) {
    std::string text;
    said_at((folder / "memory.max").string()) >> text;
    if (const auto limit = parse_int(text); limit && *limit > 0)
      total = std::min(total, static_cast<std::size_t>(*limit));
  }
  return total;
}

}  // namespace

std::optional<HostMemory> host_memory() {
  HostMemory memory;
  std::istringstream file = said_at("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemTotal:")) memory.total = kilobytes_of(line);
    if (line.starts_with("MemAvailable:")) memory.available = kilobytes_of(line);
  }
  if (memory.total == 0 || memory.available == 0) return std::nullopt;
  memory.total = least_limit(memory.total);
  memory.available = std::min(memory.available, memory.total);
  return memory;
}

std::optional<std::size_t> room_on(const Device& device) {
  if (const auto use = device.memory_use()) return use->free;
  if (device.memory() != Memory::host) return std::nullopt;
  const auto memory = host_memory();
  return memory ? std::optional(memory->total) : std::nullopt;
}

void check_room(const Device& device, std::size_t bytes, std::string_view what, std::string_view remedy) {
  const auto room = room_on(device);
  CARAVAN_CHECK(
      !room || bytes <= *room, DeviceError,
      fmt::format("{} needs {} of memory (there are {}). {}", what, bytes_text(static_cast<double>(bytes)),
                  bytes_text(static_cast<double>(*room)), remedy));
}

}  // namespace caravan::jobs
