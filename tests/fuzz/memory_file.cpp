#include "tests/fuzz/memory_file.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace caravan::fuzz {

MemoryFile::MemoryFile(Input content)
    : descriptor_(::memfd_create("input", MFD_CLOEXEC)), path_(fmt::format("/proc/self/fd/{}", descriptor_)) {
  if (descriptor_ < 0) fail("no file in memory");
  while (!content.empty()) {
    const auto written = ::write(descriptor_, content.data(), content.size());
    if (written <= 0) fail("a file in memory cannot be written");
    content = content.subspan(static_cast<std::size_t>(written));
  }
}

MemoryFile::~MemoryFile() {
  ::close(descriptor_);
}

}  // namespace caravan::fuzz
