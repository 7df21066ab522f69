#include "io/files/replace_text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <span>

#include "caravan/error.hpp"
#include "io/files/file.hpp"

namespace caravan::io {

void replace_text(const std::string& path, std::string_view text) {
  const std::string beside = path + ".next";
  ::unlink(beside.c_str());  // of a process that was killed in between, or what somebody put there
  File(beside, O_WRONLY | O_CREAT | O_EXCL).write(std::as_bytes(std::span(text)));
  if (std::rename(beside.c_str(), path.c_str()) != 0) throw IoError(system_text("replace", path));
}

}  // namespace caravan::io
