#include "io/files/sandbox.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#ifdef CARAVAN_HAVE_SECCOMP
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#endif

namespace caravan::io {
namespace {

enum class Rise { never, by_parent };

/// The filter of system calls keeps this process from raising what its parent may raise.
void limit(__rlimit_resource_t resource, rlim_t value, Rise rise = Rise::never) {
  rlimit now{};
  ::getrlimit(resource, &now);
  const rlim_t least = std::min(value, now.rlim_max);
  const rlimit wanted{least, rise == Rise::never ? least : now.rlim_max};
  CARAVAN_CHECK(::setrlimit(resource, &wanted) == 0, IoError,
                "cannot limit a process that reads a foreign file");
}

#ifdef CARAVAN_HAVE_SECCOMP
class Filter {
 public:
  Filter() : context_(::seccomp_init(SCMP_ACT_KILL_PROCESS), ::seccomp_release) {
    CARAVAN_CHECK(context_, IoError, "cannot make a filter of system calls");
  }

  void allow(int call) { check(::seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, call, 0)); }
  void allow(int call, const scmp_arg_cmp& condition) {
    check(::seccomp_rule_add_array(context_.get(), SCMP_ACT_ALLOW, call, 1, &condition));
  }
  void refuse(int call) { check(::seccomp_rule_add(context_.get(), SCMP_ACT_ERRNO(EACCES), call, 0)); }
  void load() { check(::seccomp_load(context_.get())); }

 private:
  static void check(int result) {
    CARAVAN_CHECK(result == 0, IoError,
                  fmt::format("the kernel does not filter system calls ({}), so a file without a manifest is "
                              "not opened here",
                              std::strerror(-result)));
  }

  std::unique_ptr<void, decltype(&::seccomp_release)> context_;
};

void allow_memory(Filter& filter) {
  filter.allow(SCMP_SYS(brk));
  filter.allow(SCMP_SYS(munmap));
  filter.allow(SCMP_SYS(mremap));
  filter.allow(SCMP_SYS(madvise));
  const scmp_arg_cmp not_executable{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
  filter.allow(SCMP_SYS(mmap), not_executable);
  filter.allow(SCMP_SYS(mprotect), not_executable);
}

/// What the C library needs to end, to signal itself and to wait for nobody.
void allow_life(Filter& filter) {
  for (const int call :
       {SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(clock_gettime), SCMP_SYS(getrandom)})
    filter.allow(call);
  filter.allow(SCMP_SYS(tgkill), {0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()), 0});
}

void filter_calls(int channel) {
  Filter filter;
  const auto descriptor = static_cast<scmp_datum_t>(channel);
  filter.allow(SCMP_SYS(read), {0, SCMP_CMP_EQ, descriptor, 0});
  filter.allow(SCMP_SYS(write), {0, SCMP_CMP_EQ, descriptor, 0});
  allow_memory(filter);
  allow_life(filter);
  // HDF5 asks whether a file of an image's name exists.
  for (const int call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(newfstatat)})
    filter.refuse(call);
  filter.load();
}
#endif

}  // namespace

bool has_sandbox() noexcept {
#ifdef CARAVAN_HAVE_SECCOMP
  return true;
#else
  return false;
#endif
}

void enter_sandbox([[maybe_unused]] int channel, const IsolationLimits& limits) {
  CARAVAN_CHECK(
      has_sandbox(), IoError,
      "a file without a manifest is parsed in a restricted process only, which needs libseccomp (this "
      "build has none). Install libseccomp-dev and build again?");
  limit(RLIMIT_AS, limits.memory_bytes);
  limit(RLIMIT_CPU, limits.cpu_s, Rise::by_parent);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
#ifdef CARAVAN_HAVE_SECCOMP
  filter_calls(channel);
#endif
}

}  // namespace caravan::io
