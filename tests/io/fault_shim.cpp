// Preloaded into a program under test: breaks its N-th change of files below a folder.
//   FAULT_FOLDER  the folder
//   FAULT_AT      which call breaks, from 1 on; 0: none, only counted
//   FAULT_KIND    kill, short (half of a write, then no space), or an errno's number
//   FAULT_COUNT   file that receives the number of calls at exit
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

const std::string folder = setting("FAULT_FOLDER"), kind = setting("FAULT_KIND");
const long at = std::atol(setting("FAULT_AT").c_str());
std::atomic<long> calls{0};
std::atomic<bool> is_full{false};  // after a short write

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

bool is_inside(const char* path) {
  return path && !folder.empty() && std::strncmp(path, folder.c_str(), folder.size()) == 0;
}

bool is_inside(int descriptor) {
  char path[4096] = "", link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t size = ::readlink(link, path, sizeof path - 1);
  return size > 0 && is_inside(path);
}

enum class Verdict { pass, fail, half };

Verdict judge(bool concerned) {
  if (!concerned) return Verdict::pass;
  const bool is_due = ++calls == at;
  if (is_full || (is_due && kind == "short")) {
    errno = ENOSPC;
    return is_full.exchange(true) ? Verdict::fail : Verdict::half;
  }
  if (!is_due) return Verdict::pass;
  if (kind == "kill") ::raise(SIGKILL);
  errno = std::atoi(kind.c_str());
  return Verdict::fail;
}

template <class Write>
ssize_t judged_write(int file, size_t size, Write&& write) {
  switch (judge(is_inside(file))) {
    case Verdict::pass:
      return write(size);
    case Verdict::half:
      return write(size / 2);
    case Verdict::fail:
      break;
  }
  return -1;
}

struct Report {
  ~Report() {
    const std::string path = setting("FAULT_COUNT");
    if (path.empty()) return;
    if (std::FILE* file = std::fopen(path.c_str(), "w")) {
      std::fprintf(file, "%ld", calls.load());
      std::fclose(file);
    }
  }
} report;

}  // namespace

extern "C" {

ssize_t write(int file, const void* data, size_t size) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t)>("write");
  return judged_write(file, size, [&](size_t some) { return next(file, data, some); });
}
ssize_t pwrite(int file, const void* data, size_t size, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return judged_write(file, size, [&](size_t some) { return next(file, data, some, offset); });
}
ssize_t pwrite64(int file, const void* data, size_t size, off64_t offset) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return judged_write(file, size, [&](size_t some) { return next(file, data, some, offset); });
}
int fsync(int file) {
  static const auto next = real<int (*)(int)>("fsync");
  return judge(is_inside(file)) == Verdict::pass ? next(file) : -1;
}
int ftruncate(int file, off_t size) {
  static const auto next = real<int (*)(int, off_t)>("ftruncate");
  return judge(is_inside(file)) == Verdict::pass ? next(file, size) : -1;
}
int ftruncate64(int file, off64_t size) {
  static const auto next = real<int (*)(int, off64_t)>("ftruncate64");
  return judge(is_inside(file)) == Verdict::pass ? next(file, size) : -1;
}
int fallocate(int file, int mode, off_t offset, off_t size) {
  static const auto next = real<int (*)(int, int, off_t, off_t)>("fallocate");
  return judge(is_inside(file)) == Verdict::pass ? next(file, mode, offset, size) : -1;
}
int fallocate64(int file, int mode, off64_t offset, off64_t size) {
  static const auto next = real<int (*)(int, int, off64_t, off64_t)>("fallocate64");
  return judge(is_inside(file)) == Verdict::pass ? next(file, mode, offset, size) : -1;
}
int mkdir(const char* path, mode_t mode) {
  static const auto next = real<int (*)(const char*, mode_t)>("mkdir");
  return judge(is_inside(path)) == Verdict::pass ? next(path, mode) : -1;
}
int rename(const char* from, const char* to) {
  static const auto next = real<int (*)(const char*, const char*)>("rename");
  return judge(is_inside(to)) == Verdict::pass ? next(from, to) : -1;
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  static const auto next = real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  return judge(is_inside(to)) == Verdict::pass ? next(from_folder, from, to_folder, to, flags) : -1;
}

}  // extern "C"
