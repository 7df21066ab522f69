#include "jobs/plot/growing_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "caravan/check.hpp"
#include "io/files/file.hpp"
#include "io/metrics/json_lines_record.hpp"

namespace caravan::jobs {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 18;
/// Holds a time of writing, which no two lines share.
constexpr std::size_t kTailBytes = 512;

std::string bytes_at(const io::File& file, std::uint64_t offset, std::size_t count) {
  std::string bytes(count, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

}  // namespace

GrowingFile::GrowingFile(std::string path) : path_(std::move(path)) {}

void GrowingFile::keep_tail(std::string_view taken) {
  end_ += taken.size();
  tail_.append(taken.substr(taken.size() - std::min(taken.size(), kTailBytes)));
  tail_.erase(0, tail_.size() - std::min(tail_.size(), kTailBytes));
}

void GrowingFile::read_new(const std::function<void()>& forget,
                           const std::function<void(std::string_view)>& take) {
  const io::File file(path_, O_RDONLY);
  const std::uint64_t size = file.size();  // what is added meanwhile comes the next time
  if (size < end_ || bytes_at(file, end_ - tail_.size(), tail_.size()) != tail_) {
    forget();
    end_ = 0;
    tail_.clear();
  }
  std::string text;
  for (std::uint64_t at = end_; at < size; at += std::min(kPieceBytes, size - at)) {
    const std::uint64_t piece = std::min(kPieceBytes, size - at);
    if (file.size() < at + piece) return;  // cut this moment: the next time finds what has gone
    text += bytes_at(file, at, static_cast<std::size_t>(piece));
    std::size_t line = 0;
    for (std::size_t end; (end = text.find('\n', line)) != std::string::npos; line = end + 1)
      take(std::string_view(text).substr(line, end - line));
    keep_tail(std::string_view(text).substr(0, line));
    text.erase(0, line);
    CARAVAN_CHECK(
        text.size() <= io::kMostRecordBytes, IoError,
        fmt::format("{}: a line of more than {} bytes. Is the file damaged?", path_, io::kMostRecordBytes));
  }
}

}  // namespace caravan::jobs
