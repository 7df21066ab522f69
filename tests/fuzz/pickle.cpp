// The pickle of a file of torch.save, without its archive.
#include "io/meta/pickle.hpp"

#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void read(Input input) {
  io::read_pickled_tensors(text_of(input), "pickle");
}

}  // namespace

const Target pickle{"pickle", read, {1 << 20, 1024}};

}  // namespace caravan::fuzz
