#include "io/files/direct_file.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kBounceBytes = 4 * HugePages::kBytes;
// A write of less waits for the disk longer than the page cache takes to copy it.
constexpr std::size_t kWorthADirectWrite = std::size_t{64} << 10;

std::optional<File> open_direct(const std::string& path) {
  try {
    return File(path, O_WRONLY | O_DIRECT);
  } catch (const IoError&) {
    return std::nullopt;  // tmpfs and some network file systems have no O_DIRECT; the page cache serves them
  }
}

bool starts_on_page(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data) % DirectFile::kPage == 0;
}

}  // namespace

DirectFile::DirectFile(const std::string& path) : buffered_(path, O_WRONLY), direct_(open_direct(path)) {}

void DirectFile::write_at(std::uint64_t offset, std::span<const std::byte> data) {
  const std::uint64_t head = whole_pages(offset) - offset;
  if (!direct_ || data.size() < head + kWorthADirectWrite) return buffered_.write_at(offset, data);
  const std::uint64_t behind = head + (data.size() - head) / kPage * kPage;
  if (head > 0) buffered_.write_at(offset, data.first(head));
  write_pages(offset + head, data.subspan(head, behind - head));
  if (behind < data.size()) buffered_.write_at(offset + behind, data.subspan(behind));
}

void DirectFile::write_pages(std::uint64_t offset, std::span<const std::byte> data) {
  if (starts_on_page(data.data())) return direct_->write_at(offset, data);
  const std::lock_guard lock(bounce_mutex_);
  if (!bounce_) bounce_.emplace(kBounceBytes);
  for (; !data.empty(); data = data.subspan(std::min(data.size(), kBounceBytes))) {
    const auto part = bounce_->bytes().first(std::min(data.size(), kBounceBytes));
    std::memcpy(part.data(), data.data(), part.size());
    direct_->write_at(offset, part);
    offset += part.size();
  }
}

}  // namespace caravan::io
