#include "io/files/pending_file.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>

namespace caravan::io {

std::string random_suffix() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

PendingFile::PendingFile(std::string path)
    : path_(std::move(path)), beside_(path_ + ".tmp-" + random_suffix()) {
  file_.emplace(beside_, O_WRONLY | O_CREAT | O_EXCL);
}

PendingFile::~PendingFile() {
  if (file_) ::unlink(beside_.c_str());
}

void PendingFile::reserve(std::uint64_t bytes) {
  if (bytes == 0) return;
  const int failure = ::posix_fallocate(file_->descriptor(), 0, static_cast<off_t>(bytes));
  errno = failure;
  CARAVAN_CHECK(failure == 0 || failure == EOPNOTSUPP || failure == EINVAL, IoError,
                fmt::format("{}: {} bytes are needed", system_text("reserve space for", path_), bytes));
}

void PendingFile::commit() {
  file_->sync();
  CARAVAN_CHECK(::rename(beside_.c_str(), path_.c_str()) == 0, IoError, system_text("rename to", path_));
  file_.reset();
  const auto folder = std::filesystem::path(path_).parent_path();
  sync_folder(folder.empty() ? "." : folder.string());
}

}  // namespace caravan::io
