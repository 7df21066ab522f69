// Meta's params.json.
#include "io/meta/meta_params.hpp"

#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void read(Input input) {
  io::parse_meta_params(std::string(text_of(input)), "params.json");
}

}  // namespace

const Target meta_params{"meta_params", read, {1 << 20, 128}};

}  // namespace caravan::fuzz
