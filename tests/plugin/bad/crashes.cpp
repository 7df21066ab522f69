#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "component.hpp"

namespace caravan::testing {
namespace {

/// Uses up any stack.
int descend(volatile int* depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(*depth);
  *depth = *depth + 1;
  return descend(depth) + room[0];
}

[[noreturn]] void throw_through_noexcept() noexcept {
  throw std::runtime_error("nobody may catch this");
}

}  // namespace

class Crashes final : public Nothing {
 public:
  static constexpr const char* kName = "crashes";
  static constexpr caravan_param kParams[] = {
      {"how", "memory|abort|terminate|division|stack|exit", "memory", "", "", "How to end the process."}};
  Crashes(const Host& host, const Config& config) : Nothing(host, config) {
    const std::string& how = config.get_string("how");
    volatile int depth = 0;
    if (how == "abort") std::abort();
    if (how == "terminate") throw_through_noexcept();
    if (how == "division") std::raise(SIGFPE);
    if (how == "stack") depth = descend(&depth);
    if (how == "exit") std::exit(0);
    *reinterpret_cast<volatile int*>(depth) = 1;
  }
};
}  // namespace caravan::testing

CARAVAN_PLUGIN("crashes", "1.0.0", "Apache-2.0", "Broken on purpose",
               caravan::component<caravan::testing::Crashes>());
