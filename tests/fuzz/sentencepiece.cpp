// A SentencePiece model.
#include "io/text/readers.hpp"
#include "tests/fuzz/round_trip.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void read(Input input) {
  encode_and_decode(*io::read_sentencepiece(text_of(input), "/nowhere/tokenizer"));
}

}  // namespace

const Target sentencepiece{"sentencepiece", read, {32 << 20, 1024}};

}  // namespace caravan::fuzz
