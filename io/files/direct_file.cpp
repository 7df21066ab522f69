#include "io/files/direct_file.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kBounceBytes = std::size_t{8} << 20;

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

void DirectFile::Unmap::operator()(std::byte* pages) const {
  std::free(pages);
}

DirectFile::DirectFile(const std::string& path) : buffered_(path, O_WRONLY), direct_(open_direct(path)) {}

void DirectFile::write_at(std::uint64_t offset, std::span<const std::byte> data) {
  const std::size_t pages = offset % kPage == 0 ? data.size() / kPage * kPage : 0;
  if (!direct_ || pages == 0) return buffered_.write_at(offset, data);
  write_pages(offset, data.first(pages));
  if (pages < data.size()) buffered_.write_at(offset + pages, data.subspan(pages));
}

void DirectFile::write_pages(std::uint64_t offset, std::span<const std::byte> data) {
  if (starts_on_page(data.data())) return direct_->write_at(offset, data);
  if (!bounce_) bounce_.reset(static_cast<std::byte*>(std::aligned_alloc(kPage, kBounceBytes)));
  if (!bounce_) throw std::bad_alloc();
  for (; !data.empty(); data = data.subspan(std::min(data.size(), kBounceBytes))) {
    const auto part = data.first(std::min(data.size(), kBounceBytes));
    std::memcpy(bounce_.get(), part.data(), part.size());
    direct_->write_at(offset, {bounce_.get(), part.size()});
    offset += part.size();
  }
}

}  // namespace caravan::io
