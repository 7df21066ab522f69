#pragma once

#include "caravan/tokenizer.hpp"
#include "io/text/json_reader.hpp"

namespace caravan::io {

/// What the section `post_processor` of a tokenizer.json (`root`) puts around a single text: templates,
/// RobertaProcessing, BertProcessing and sequences of them; ByteLevel changes offsets alone. IoError names
/// what is not known.
TextFrame read_post_processor(const JsonNode& root);

}  // namespace caravan::io
