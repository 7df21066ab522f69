#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/files/file.hpp"

namespace caravan::io {

/// A file that grows by whole records. A record that does not fit the disk is dropped and its torn part
/// removed; the first such loss is logged, and the run goes on.
class AppendFile {
 public:
  /// Appends behind `keep_bytes` of what exists; the first record cuts the rest. IoError when the file cannot
  /// be opened.
  AppendFile(const std::string& path, std::uint64_t keep_bytes);
  void append(std::string_view record);
  /// Removes now what the first record would.
  void cut();
  /// Of whole records; nothing behind them stays.
  std::uint64_t good_bytes() const noexcept { return good_bytes_; }

 private:
  void cut_rest();
  void lose(const char* why);

  File file_;
  std::uint64_t good_bytes_;
  bool is_cut_ = false;
  bool warned_ = false;
};

}  // namespace caravan::io
