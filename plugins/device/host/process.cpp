#include "process.hpp"

#include <omp.h>
#include <sched.h>

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "caravan/check.hpp"
#include "caravan/printable.hpp"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace caravan::host {
namespace {

/// Ends Kokkos at exit if this process started it here.
class KokkosSession {
 public:
  KokkosSession() : ours_(!Kokkos::is_initialized()) {
    if (!ours_) return;
    Kokkos::InitArguments arguments;
    arguments.disable_warnings = true;
    Kokkos::initialize(arguments);
  }
  ~KokkosSession() {
    if (ours_ && Kokkos::is_initialized()) Kokkos::finalize();
  }

 private:
  bool ours_;
};

}  // namespace

void start_kokkos() {
  static const KokkosSession session;
}

/// libgomp takes all cores where it cannot read the number, which would be one team a rank.
int threads_of_rank(int threads) {
  if (threads > 0) return threads;
  const char* wanted = std::getenv("OMP_NUM_THREADS");
  if (!wanted || !*wanted) return 1;
  const std::string_view text(wanted), first = text.substr(0, text.find(','));
  int number = 0;
  const auto [end, error] = std::from_chars(first.data(), first.data() + first.size(), number);
  CARAVAN_CHECK(error == std::errc() && end == first.data() + first.size() && number > 0, ConfigError,
                "OMP_NUM_THREADS='" + printable(text) +
                    "' (no number of threads of a rank). 1, or device_options.threads?");
  return omp_get_max_threads();
}

int usable_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

void flush_denormals() {
#if defined(__SSE__)
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
#endif
}

}  // namespace caravan::host
