#pragma once

#include "io/text/bpe_tokenizer.hpp"
#include "io/text/json_reader.hpp"

namespace caravan::io {

/// Fills names, decoded and model of `parts` from the section `model` of a tokenizer.json. `unit` tells
/// whether pieces are bytes (spelled in the byte alphabet) or characters. IoError for anything but a sound
/// BPE vocabulary.
void read_bpe_model(const JsonNode& model, BpeModel::Unit unit, BpeTokenizer::Parts& parts);

}  // namespace caravan::io
