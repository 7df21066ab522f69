#pragma once

#include <string>

#include "tests/fuzz/call.hpp"

namespace caravan::fuzz {

/// A file that lies in memory and has a path while this lives.
class MemoryFile {
 public:
  explicit MemoryFile(Input content);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const std::string& path() const noexcept { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

}  // namespace caravan::fuzz
