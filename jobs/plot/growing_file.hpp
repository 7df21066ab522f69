#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace caravan::jobs {

/// A file of lines that another program adds to: read on where it was left. A resumed run cuts its file and
/// goes on; then it is read from the beginning.
class GrowingFile {
 public:
  explicit GrowingFile(std::string path);

  const std::string& path() const noexcept { return path_; }
  /// Gives the lines that are new and whole to `take`; before that, calls `forget` where what was given is
  /// not what stands in the file any more. IoError when it cannot be read, or for a line that is too long.
  void read_new(const std::function<void()>& forget, const std::function<void(std::string_view)>& take);

 private:
  void keep_tail(std::string_view taken);

  std::string path_, tail_;  // the last bytes that were given
  std::uint64_t end_ = 0;    // behind them
};

}  // namespace caravan::jobs
