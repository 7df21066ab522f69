#include "io/metrics/append_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "caravan/check.hpp"
#include "caravan/log.hpp"

namespace caravan::io {

AppendFile::AppendFile(const std::string& path, std::uint64_t keep_bytes)
    : file_(path, O_WRONLY | O_CREAT | O_APPEND), good_bytes_(keep_bytes) {}

void AppendFile::append(std::string_view record) {
  try {
    cut_rest();
    file_.write({reinterpret_cast<const std::byte*>(record.data()), record.size()});
    good_bytes_ += record.size();
  } catch (const IoError& error) {
    lose(error.what());
  }
}

void AppendFile::cut() {
  try {
    cut_rest();
  } catch (const IoError& error) {
    lose(error.what());
  }
}

void AppendFile::cut_rest() {
  if (is_cut_) return;
  CARAVAN_CHECK(::ftruncate(file_.descriptor(), static_cast<off_t>(good_bytes_)) == 0, IoError,
                system_text("cut", file_.path()));
  is_cut_ = true;
}

void AppendFile::lose(const char* why) {
  const bool cut = ::ftruncate(file_.descriptor(), static_cast<off_t>(good_bytes_)) == 0;
  if (!warned_) {
    log_warning(fmt::format("{}; records are lost until it can be written again{}", why,
                            cut ? "" : ", and a torn one stays in it"));
  }
  warned_ = true;
}

}  // namespace caravan::io
