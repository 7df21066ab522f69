#include "tests/fuzz/call.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "tests/fuzz/heap_meter.hpp"

namespace caravan::fuzz {
namespace {

Outcome outcome_of(const Target& target, Input input) {
  try {
    target.read(input);
    return Outcome::read;
  } catch (const Error&) {
    return Outcome::refused;
  } catch (const std::exception& other) {
    fail(fmt::format("{} threw what is no Error: {}", target.name, other.what()));
  }
}

}  // namespace

void fail(const std::string& why) {
  std::fprintf(stderr, "fuzz: %s\n", why.c_str());
  std::abort();
}

Outcome call(const Target& target, Input input) {
  const HeapMeter meter;
  const Outcome outcome = outcome_of(target, input);
  const std::size_t most = target.bound.base + target.bound.factor * input.size();
  if (meter.peak() > most)
    fail(fmt::format("{} held {} bytes of heap for {} bytes (at most {} + {} x size)", target.name,
                     meter.peak(), input.size(), target.bound.base, target.bound.factor));
  return outcome;
}

}  // namespace caravan::fuzz
