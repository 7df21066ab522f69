#include "tests/fuzz/ordeal.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

namespace caravan::fuzz {
namespace {

constexpr std::size_t kMostInput = std::size_t{1} << 22;
constexpr rlim_t kMostMemory = rlim_t{2} << 30;

/// What the child leaves for its parent, whatever becomes of it.
struct Record {
  std::size_t calls, read, size;
  char input[kMostInput];
};

class SharedRecord {
 public:
  SharedRecord() {
    void* const memory =
        ::mmap(nullptr, sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("no memory to share with a child");
    record_ = new (memory) Record;
  }
  ~SharedRecord() { ::munmap(record_, sizeof(Record)); }
  SharedRecord(const SharedRecord&) = delete;
  SharedRecord& operator=(const SharedRecord&) = delete;

  Record* operator->() const noexcept { return record_; }

 private:
  Record* record_;
};

void limit_memory() {
#ifndef __SANITIZE_ADDRESS__  // whose shadow takes more than any limit
  const rlimit most{kMostMemory, kMostMemory};
  ::setrlimit(RLIMIT_AS, &most);
#endif
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

[[noreturn]] void run_child(const Target& target, const std::function<std::optional<std::string>()>& inputs,
                            const SharedRecord& record, unsigned seconds) {
  limit_memory();
  if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 1);  // folders of inputs stay in memory
  while (const auto input = inputs()) {
    record->size = std::min(input->size(), kMostInput);
    std::memcpy(record->input, input->data(), record->size);
    ::alarm(seconds);
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(input->data());
    if (call(target, {bytes, input->size()}) == Outcome::read) ++record->read;
    ++record->calls;
  }
  ::_exit(0);
}

std::string ending_of(int status, unsigned seconds) {
  if (WIFEXITED(status))
    return WEXITSTATUS(status) == 0 ? "" : fmt::format("it exited with {}", WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGALRM) return fmt::format("it took more than {} s", seconds);
  return fmt::format("it was ended by '{}'", ::strsignal(WTERMSIG(status)));
}

}  // namespace

OrdealResult run_ordeal(const Target& target, const std::function<std::optional<std::string>()>& inputs,
                        unsigned seconds) {
  const SharedRecord record;
  const pid_t child = ::fork();
  if (child < 0) fail("cannot fork");
  if (child == 0) run_child(target, inputs, record, seconds);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  OrdealResult result{record->calls, record->read, ending_of(status, seconds), ""};
  if (!result.ending.empty()) result.input.assign(record->input, record->size);
  return result;
}

}  // namespace caravan::fuzz
