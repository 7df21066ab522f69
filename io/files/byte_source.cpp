#include "io/files/byte_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "caravan/check.hpp"
#include "io/files/decompress.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kMostMagicBytes = 8;

std::size_t read_some(int descriptor, std::span<std::byte> to, const std::string& name) {
  for (;;) {
    const auto got = ::read(descriptor, to.data(), to.size());
    if (got < 0 && errno == EINTR) continue;
    CARAVAN_CHECK(got >= 0, IoError, system_text("read", name));
    return static_cast<std::size_t>(got);
  }
}

class StandardInput final : public ByteSource {
 public:
  std::size_t read(std::span<std::byte> to) override {
    return read_some(STDIN_FILENO, to, spoken_name(kStandardInput));
  }
};

class WholeFile final : public ByteSource {
 public:
  explicit WholeFile(const std::string& path) : file_(path, O_RDONLY) { file_.size(); }
  std::size_t read(std::span<std::byte> to) override {
    return read_some(file_.descriptor(), to, file_.path());
  }

 private:
  File file_;
};

/// Gives bytes that were looked at once more, then the rest.
class PutBack final : public ByteSource {
 public:
  PutBack(std::vector<std::byte> first, std::unique_ptr<ByteSource> rest)
      : first_(std::move(first)), rest_(std::move(rest)) {}
  std::size_t read(std::span<std::byte> to) override {
    if (used_ == first_.size()) return rest_->read(to);
    const std::size_t size = std::min(to.size(), first_.size() - used_);
    std::copy_n(first_.begin() + static_cast<std::ptrdiff_t>(used_), size, to.begin());
    used_ += size;
    return size;
  }

 private:
  std::vector<std::byte> first_;
  std::unique_ptr<ByteSource> rest_;
  std::size_t used_ = 0;
};

bool is_zstd(std::string_view first) {
  const bool skippable =
      first.size() >= 4 && (first[0] & 0xF0) == 0x50 && first.substr(1, 3) == "\x2A\x4D\x18"sv;
  return skippable || first.starts_with("\x28\xB5\x2F\xFD"sv);
}

}  // namespace

std::string spoken_name(const std::string& path) {
  return path == kStandardInput ? "standard input" : path;
}

std::unique_ptr<ByteSource> open_plain_file(const std::string& path) {
  return std::make_unique<WholeFile>(path);
}

std::size_t read_fully(ByteSource& source, std::span<std::byte> to) {
  std::size_t all = 0;
  while (all < to.size()) {
    const std::size_t got = source.read(to.subspan(all));
    if (got == 0) break;
    all += got;
  }
  return all;
}

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  std::unique_ptr<ByteSource> source;
  if (path == kStandardInput)
    source = std::make_unique<StandardInput>();
  else
    source = open_plain_file(path);
  std::vector<std::byte> first(kMostMagicBytes);
  first.resize(read_fully(*source, first));
  const std::string magic(reinterpret_cast<const char*>(first.data()), first.size());
  source = std::make_unique<PutBack>(std::move(first), std::move(source));
  if (magic.starts_with("\x1F\x8B"sv)) return decompress_gzip(std::move(source), spoken_name(path));
  if (is_zstd(magic)) return decompress_zstd(std::move(source), spoken_name(path));
  return source;
}

}  // namespace caravan::io
