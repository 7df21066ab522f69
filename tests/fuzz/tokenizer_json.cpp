// Hugging Face's tokenizer.json.
#include "io/text/readers.hpp"
#include "tests/fuzz/round_trip.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void read(Input input) {
  encode_and_decode(*io::read_tokenizer_json(text_of(input), "/nowhere/tokenizer"));
}

}  // namespace

const Target tokenizer_json{"tokenizer_json", read, {32 << 20, 1024}};

}  // namespace caravan::fuzz
