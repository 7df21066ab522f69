// Llama 4's tokenizer.model.
#include "io/text/readers.hpp"
#include "tests/fuzz/round_trip.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void read(Input input) {
  encode_and_decode(*io::read_tiktoken(text_of(input), "/nowhere/tokenizer"));
}

}  // namespace

const Target tiktoken{"tiktoken", read, {8 << 20, 256}};

}  // namespace caravan::fuzz
