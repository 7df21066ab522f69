// What libFuzzer calls: the reader that CARAVAN_FUZZ_TARGET names.
#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  caravan::fuzz::call(caravan::fuzz::CARAVAN_FUZZ_TARGET, {data, size});
  return 0;
}
