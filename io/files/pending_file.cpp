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
namespace {

constexpr unsigned kNewMode = 0644, kSecret = 0600;

OutputTarget target_of(const std::string& path, NamedBy named_by) {
  return named_by == NamedBy::us ? find_own_target(path) : find_target(path);
}

/// Waits for no reader: it might never come.
int open_stream(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  CARAVAN_CHECK(
      descriptor >= 0 || errno != ENXIO, IoError,
      fmt::format("nobody reads {} (a FIFO, or a device that is not there). Start the reader first?", path));
  CARAVAN_CHECK(descriptor >= 0, IoError, system_text("open", path));
  return descriptor;
}

File stream_at(const OutputTarget& target) {
  const int descriptor =
      target.descriptor ? ::fcntl(*target.descriptor, F_DUPFD_CLOEXEC, 0) : open_stream(target.path);
  CARAVAN_CHECK(descriptor >= 0, IoError, system_text("write", target.path));
  File file = File::adopt(target.path, descriptor);
  if (!target.descriptor) ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
  return file;
}

/// Where the former owner or group cannot be kept, no other group and no set-user bit gets what they had.
void keep_mode(const File& file, const struct stat& former) {
  unsigned mode = former.st_mode & 07777u;
  if (::fchown(file.descriptor(), former.st_uid, former.st_gid) != 0) {
    mode &= 0777u;
    const bool keeps_group = ::fchown(file.descriptor(), static_cast<uid_t>(-1), former.st_gid) == 0;
    if (!keeps_group) mode = (mode & ~070u) | (mode & 07u) << 3;
  }
  CARAVAN_CHECK(::fchmod(file.descriptor(), mode) == 0, IoError, system_text("set the mode of", file.path()));
}

}  // namespace

std::string random_suffix() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

PendingFile::PendingFile(const std::string& path, NamedBy named_by) : target_(target_of(path, named_by)) {
  if (is_stream()) {
    file_.emplace(stream_at(target_));
    return;
  }
  beside_ = target_.path + ".tmp-" + random_suffix();
  const bool replaces = target_.kind == OutputTarget::Kind::regular;
  file_.emplace(beside_, O_WRONLY | O_CREAT | O_EXCL, replaces ? kSecret : kNewMode);
}

PendingFile::~PendingFile() {
  if (file_ && !is_stream()) ::unlink(beside_.c_str());
}

void PendingFile::reserve(std::uint64_t bytes) {
  if (bytes == 0 || is_stream()) return;
  const int failure = ::posix_fallocate(file_->descriptor(), 0, static_cast<off_t>(bytes));
  errno = failure;
  CARAVAN_CHECK(
      failure == 0 || failure == EOPNOTSUPP || failure == EINVAL, IoError,
      fmt::format("{}: {} bytes are needed", system_text("reserve space for", target_.path), bytes));
}

void PendingFile::commit() {
  if (is_stream()) return file_.reset();
  if (target_.kind == OutputTarget::Kind::regular) keep_mode(*file_, target_.status);
  file_->sync();
  CARAVAN_CHECK(::rename(beside_.c_str(), target_.path.c_str()) == 0, IoError,
                system_text("rename to", target_.path));
  file_.reset();
  const auto folder = std::filesystem::path(target_.path).parent_path();
  sync_folder(folder.empty() ? "." : folder.string());
}

void write_output(const std::string& path, std::string_view bytes, NamedBy named_by) {
  PendingFile file(path, named_by);
  file.write(std::as_bytes(std::span(bytes)));
  file.commit();
}

}  // namespace caravan::io
